"""A floor under the policy's entropy: while it is too low, the entropy coefficient rises.

    coefficient = ent_coef + GAIN * max(0, floor - entropy)        per minibatch, floor and entropy in nats

Above the floor that is plain ``ent_coef``; under it, the gradient is that of a penalty GAIN / 2 * (floor - entropy)^2.
Multipliers that sum up what is missing (as SAC tunes its temperature) were tried on a bandit instead. Slow ones let the
policy collapse, from where it returns slowly, since the gradient of its entropy is gone too; fast ones swing between
half and twice the floor. The penalty kept the entropy from falling further than 0.06 nats below the floor at learning
rates from 3e-4 to 2e-2. It has no state of its own, so a loaded model goes on exactly.
"""

from __future__ import annotations

import math

import numpy as np
from gymnasium import spaces
from torch import Tensor

#: How much the coefficient rises per nat that is missing. With normalised advantages, what balances a policy that knows
#: the answer is a coefficient of about 1, hence a gap of some hundredths of a nat.
GAIN = 30.0


def entropy_floor(min_entropy: float, action_space: spaces.Space, closed_form: bool = True) -> float:
    """The floor in nats.

    :param min_entropy: as a share of the largest entropy, where there is one (actions to choose from); else in nats
    :param closed_form: whether the policy can say its entropy
    :raises ValueError: for a share that is none, and without a closed form
    """
    if not closed_form:
        raise ValueError("min_entropy needs an entropy in closed form, got squash_output=True; set squash_output=False")
    largest = largest_entropy(action_space)
    if largest is None:
        if not math.isfinite(min_entropy):
            raise ValueError(f"min_entropy must be a number of nats, got {min_entropy}")
        return min_entropy
    if not 0 <= min_entropy <= 1:
        kind = type(action_space).__name__
        raise ValueError(
            f"min_entropy must be a share of the largest entropy, from 0 to 1, for {kind} actions, got {min_entropy}"
        )
    return min_entropy * largest


def largest_entropy(action_space: spaces.Space) -> float | None:
    """The entropy of uniformly random actions in nats; None for Box, where it has no bound."""
    if isinstance(action_space, spaces.Discrete):
        return math.log(action_space.n)
    if isinstance(action_space, spaces.MultiDiscrete):
        return float(np.log(action_space.nvec).sum())
    if isinstance(action_space, spaces.MultiBinary):
        return math.prod(action_space.shape) * math.log(2)
    return None


def raised_coefficient(ent_coef: float, floor: float, entropy: Tensor) -> Tensor:
    """The coefficient for each of the mean entropies given.

    :param ent_coef: the coefficient above the floor
    :param floor: in nats
    :param entropy: in nats, any shape
    """
    return ent_coef + GAIN * (floor - entropy.detach()).clamp(min=0)

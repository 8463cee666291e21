"""Who acts while data is collected: a policy, and the wrappers through which it looks at the environment."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np

Policy = Callable[[Any, Any, np.ndarray], tuple[np.ndarray, Any]]
"""From observations of B environments, the state after the last step (None at first) and episode starts (B,) bool to
actions (B, ...) and the next state: what the ``predict`` of Stable-Baselines3 does."""


def as_it_is(env: gym.Env) -> gym.Env:
    """No wrapper."""
    return env


@dataclass(frozen=True)
class Behaviour:
    """Who acts.

    :param policy: from what it sees to actions
    :param wrap: what is put around the environment so that the policy sees what it knows how to read
    :param record: plain data that says what it is, for the metadata
    """

    policy: Policy
    wrap: Callable[[gym.Env], gym.Env] = as_it_is
    record: Mapping[str, Any] = field(default_factory=dict)


def random_behaviour(action_space: gym.Space, seed: int = 0) -> Behaviour:
    """Uniformly random actions."""
    action_space.seed(seed)

    def act(observations: Any, state: Any, starts: np.ndarray) -> tuple[np.ndarray, Any]:
        return np.stack([action_space.sample() for _ in starts]), None

    return Behaviour(act, record={"policy": "random", "seed": seed})


def mixed_behaviour(good: Behaviour, action_space: gym.Space, quality: float, seed: int = 0) -> Behaviour:
    """Each episode is played by ``good`` with a probability, else at random.

    :param good: the behaviour in the good episodes
    :param action_space: of the random ones
    :param quality: the probability, from 0 to 1
    :param seed: of everything random
    :raises ValueError: the probability is outside 0 to 1
    """
    if not 0 <= quality <= 1:
        raise ValueError(f"expected a quality, the share of good episodes, from 0 to 1, got {quality}")
    # The generators of the actions and of the mixture must not draw the same numbers.
    random, generator = random_behaviour(action_space, seed), np.random.default_rng((seed, 1))

    def act(observations: Any, state: Any, starts: np.ndarray) -> tuple[np.ndarray, Any]:
        before, is_good = (None, np.zeros(len(starts), bool)) if state is None else state
        is_good = np.where(starts, generator.random(len(starts)) < quality, is_good)
        best, after = good.policy(observations, before, starts)
        other, _ = random.policy(observations, None, starts)
        chosen = np.where(is_good.reshape(-1, *[1] * (best.ndim - 1)), best, other)
        return chosen, (after, is_good)

    return Behaviour(act, good.wrap, {"policy": "mixed", "quality": quality, "good": dict(good.record), "seed": seed})

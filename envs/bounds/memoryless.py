"""Memoryless policies: linear or a small tanh network, deterministic or stochastic.

Letters: P policies, E episodes, I inputs, U outputs of the policy, D parameters of a policy, H hidden units.
"""

from dataclasses import dataclass

import gymnasium as gym
import numpy as np
from gymnasium import spaces


@dataclass(frozen=True)
class Family:
    """A family of memoryless policies, each a vector of D numbers.

    :param name: name in reports and on the command line
    :param hidden: units of the tanh layer; 0 for a linear policy
    :param stochastic: softmax over Discrete actions, Gaussian with learned spread around Box actions
    :param bias: has a constant input; without it, actions after an observation of zeros are uniformly random
    """

    name: str
    hidden: int
    stochastic: bool
    bias: bool = True

    def size(self, inputs: int, action_space: gym.Space) -> int:
        """Return D, the number of parameters."""
        outputs = output_size(action_space)
        spreads = outputs if self.stochastic and isinstance(action_space, spaces.Box) else 0
        constant = int(self.bias)
        if self.hidden == 0:
            return (inputs + constant) * outputs + spreads
        return (inputs + constant) * self.hidden + (self.hidden + constant) * outputs + spreads

    def actions(
        self, parameters: np.ndarray, inputs: np.ndarray, space: gym.Space, generator: np.random.Generator
    ) -> np.ndarray:
        """Return the actions (P, E, *action shape) of policies (P, D) for inputs (P, E, I)."""
        outputs, spreads = self._outputs(parameters, inputs, output_size(space))
        if isinstance(space, spaces.Discrete):
            # The largest of logits plus Gumbel noise is a draw from their softmax.
            noise = generator.gumbel(size=outputs.shape) if self.stochastic else 0.0
            return (outputs + noise).argmax(-1) + space.start
        assert isinstance(space, spaces.Box)
        if self.stochastic:
            outputs = outputs + np.exp(np.clip(spreads, -5, 2))[:, None] * generator.standard_normal(outputs.shape)
        return _into_bounds(outputs, space)

    def _outputs(self, parameters: np.ndarray, inputs: np.ndarray, outputs: int) -> tuple[np.ndarray, np.ndarray]:
        values = inputs
        for width in (self.hidden, outputs) if self.hidden else (outputs,):
            values = values if values is inputs else np.tanh(values)
            size = values.shape[-1]
            taken = (size + int(self.bias)) * width
            weights = parameters[:, :taken].reshape(len(parameters), -1, width)
            values = values @ weights[:, :size] + weights[:, size:].sum(1, keepdims=True)
            parameters = parameters[:, taken:]
        return values, parameters


FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family("linear-deterministic", hidden=0, stochastic=False),
        Family("linear-stochastic", hidden=0, stochastic=True),
        Family("tanh-deterministic", hidden=6, stochastic=False),
        Family("tanh-stochastic", hidden=6, stochastic=True),
        Family("linear-unbiased", hidden=0, stochastic=True, bias=False),
    )
}


def output_size(space: gym.Space) -> int:
    """Return U: one logit for each Discrete action, one mean for each number of a Box.

    :raises TypeError: the action space is neither
    """
    if isinstance(space, spaces.Discrete):
        return int(space.n)
    if isinstance(space, spaces.Box):
        return int(np.prod(space.shape))
    raise TypeError(f"the memoryless search expected Discrete or Box actions, got {space}")


def _into_bounds(outputs: np.ndarray, space: spaces.Box) -> np.ndarray:
    """Clip outputs (P, E, U) to -1 .. 1 and scale them to the bounds of the Box; unbounded numbers do not change."""
    bounded = (space.bounded_below & space.bounded_above).reshape(-1)
    low = np.where(bounded, space.low.reshape(-1), -1.0)
    high = np.where(bounded, space.high.reshape(-1), 1.0)
    scaled = low + (np.clip(outputs, -1, 1) + 1) / 2 * (high - low)
    actions = np.where(bounded, scaled, outputs).astype(space.dtype)
    return actions.reshape(*outputs.shape[:2], *space.shape)

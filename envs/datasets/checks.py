"""Do an environment and a target return fit a dataset? Asked before training on it."""

from typing import NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from rl_larnn.envs.datasets.dataset import Dataset
from rl_larnn.envs.datasets.errors import DatasetError
from rl_larnn.envs.spaces import same_form, shown

#: How far beyond the returns of the data a target may be: in widths of their range, and in sizes of their largest.
_BEYOND_RANGE, _BEYOND_SIZE = 0.5, 0.1
#: How far beyond its bounds a number may be by having been rounded.
_ROUNDING = 1e-4


def check_environment_fits(dataset: Dataset, observation_space: gym.Space, action_space: gym.Space, name: str) -> None:
    """Compares the spaces of an environment, as ``name`` calls it, with those of the data.

    Kinds, shapes and numbers of choices have to agree, and bounds of actions; bounds of observations and the
    precision of floats do not matter to a learner.

    :raises DatasetError: they don't fit; with both spaces
    """
    ours = {"observations": dataset.observation_space, "actions": dataset.action_space}
    theirs = {"observations": observation_space, "actions": action_space}
    for key, space in ours.items():
        if not (same_form(space, theirs[key]) and (key == "observations" or _same_bounds(space, theirs[key]))):
            collected = f", collected on {dataset.env_id}" if dataset.env_id else ""
            raise DatasetError(
                f"{name} doesn't fit the dataset {dataset.name}{collected}: expected {key} of {shown(space)}, "
                f"got {shown(theirs[key])}"
            )


class ReturnRange(NamedTuple):
    """Returns of the episodes of a dataset."""

    lowest: float
    mean: float
    highest: float

    @classmethod
    def of(cls, dataset: Dataset) -> "ReturnRange":
        """The range of a dataset."""
        returns = dataset.returns
        return cls(float(returns.min()), float(returns.mean()), float(returns.max()))


def target_range(returns: ReturnRange) -> tuple[float, float]:
    """The lowest and the highest target return that the data can be expected to say something about."""
    lowest, _, highest = returns
    margin = max(_BEYOND_RANGE * (highest - lowest), _BEYOND_SIZE * max(abs(lowest), abs(highest)))
    return lowest - margin, highest + margin


def far_target(name: str, returns: ReturnRange, target: float) -> str | None:
    """A warning, with the range of the dataset of that name, if a target return is far outside of it; else None."""
    lowest, highest = target_range(returns)
    if lowest <= target <= highest:
        return None
    return (
        f"the target return {target:g} is far outside of {name}, whose episodes return {returns.lowest:g} to "
        f"{returns.highest:g} (mean {returns.mean:g})"
    )


def actions_outside(dataset: Dataset, action_space: gym.Space) -> str | None:
    """A warning if there are actions beyond the bounds of an environment, to which an agent's are cut; else None."""
    actions = dataset.columns.actions
    if not isinstance(action_space, spaces.Box) or actions.shape[1:] != action_space.shape:
        return None
    low, high = (bound.astype(np.float64) for bound in (action_space.low, action_space.high))
    inside = (actions >= low - _ROUNDING) & (actions <= high + _ROUNDING)
    if inside.all():
        return None
    return (
        f"{1 - inside.mean():.1%} of the actions of {dataset.name}, which go from {actions.min():g} to "
        f"{actions.max():g}, are outside of {shown(action_space)}, to which those of the agent are cut"
    )


def _same_bounds(first: gym.Space, second: gym.Space) -> bool:
    if not (isinstance(first, spaces.Box) and isinstance(second, spaces.Box)):
        return True
    return np.allclose(first.low, second.low) and np.allclose(first.high, second.high)

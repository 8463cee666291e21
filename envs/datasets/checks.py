"""Checks, before training, that an environment and a target return fit a dataset."""

from typing import NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from rl_larnn.envs.datasets.dataset import Dataset
from rl_larnn.envs.datasets.errors import DatasetError
from rl_larnn.envs.spaces import describe_space, same_form

#: How far a target may be outside of the returns of the data: in widths of their range, and in sizes of their largest.
_BEYOND_RANGE, _BEYOND_SIZE = 0.5, 0.1
#: How far rounding may move a number beyond its bounds.
_ROUNDING = 1e-4


def check_environment_fits(dataset: Dataset, observation_space: gym.Space, action_space: gym.Space, name: str) -> None:
    """Check that the spaces of an environment are those of the data.

    Kinds, shapes, numbers of choices and bounds of actions have to agree; bounds of observations and the precision of
    floats may differ.

    :param name: name of the environment, for the message
    :raises DatasetError: they do not agree; with both spaces
    """
    ours = {"observations": dataset.observation_space, "actions": dataset.action_space}
    theirs = {"observations": observation_space, "actions": action_space}
    for key, space in ours.items():
        if not (same_form(space, theirs[key]) and (key == "observations" or _same_bounds(space, theirs[key]))):
            collected = f", collected on {dataset.env_id}" if dataset.env_id else ""
            raise DatasetError(
                f"{name} doesn't fit the dataset {dataset.name}{collected}: expected {key} of {describe_space(space)}, "
                f"got {describe_space(theirs[key])}"
            )


class ReturnRange(NamedTuple):
    """Returns of the episodes of a dataset."""

    lowest: float
    mean: float
    highest: float

    @classmethod
    def of(cls, dataset: Dataset) -> "ReturnRange":
        """Return the range of a dataset."""
        returns = dataset.returns
        return cls(float(returns.min()), float(returns.mean()), float(returns.max()))


def target_range(returns: ReturnRange) -> tuple[float, float]:
    """Return the lowest and the highest target return that is not far outside of the data."""
    lowest, _, highest = returns
    margin = max(_BEYOND_RANGE * (highest - lowest), _BEYOND_SIZE * max(abs(lowest), abs(highest)))
    return lowest - margin, highest + margin


def target_warning(name: str, returns: ReturnRange, target: float) -> str | None:
    """Return a warning if a target return is far outside of the returns of the dataset ``name``; else None."""
    lowest, highest = target_range(returns)
    if lowest <= target <= highest:
        return None
    return (
        f"the target return {target:g} is far outside of {name}, whose episodes return {returns.lowest:g} to "
        f"{returns.highest:g} (mean {returns.mean:g})"
    )


def actions_warning(dataset: Dataset, action_space: gym.Space) -> str | None:
    """Return a warning if actions of the data are outside of the bounds of the environment; else None."""
    actions = dataset.columns.actions
    if not isinstance(action_space, spaces.Box) or actions.shape[1:] != action_space.shape:
        return None
    low, high = (bound.astype(np.float64) for bound in (action_space.low, action_space.high))
    inside = (actions >= low - _ROUNDING) & (actions <= high + _ROUNDING)
    if inside.all():
        return None
    return (
        f"{1 - inside.mean():.1%} of the actions of {dataset.name}, which go from {actions.min():g} to "
        f"{actions.max():g}, are outside of {describe_space(action_space)}, to which those of the agent are cut"
    )


def _same_bounds(first: gym.Space, second: gym.Space) -> bool:
    if not (isinstance(first, spaces.Box) and isinstance(second, spaces.Box)):
        return True
    return np.allclose(first.low, second.low) and np.allclose(first.high, second.high)

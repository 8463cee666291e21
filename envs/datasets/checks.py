"""Do an environment and a target return fit a dataset? Asked before training on it."""

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from rl_larnn.envs.datasets.dataset import Dataset
from rl_larnn.envs.datasets.errors import DatasetError
from rl_larnn.envs.spaces import same_form, shown

#: How far beyond the returns of the data a target may be: in widths of their range, and in sizes of their largest.
_BEYOND_RANGE, _BEYOND_SIZE = 0.5, 0.1


def check_environment_fits(dataset: Dataset, observation_space: gym.Space, action_space: gym.Space, name: str) -> None:
    """Compares the spaces of an environment, as ``name`` calls it, with those of the data.

    Kinds, shapes and numbers of choices have to agree, and bounds of actions; bounds of observations and the
    precision of floats do not matter to a learner.

    Raises:
        DatasetError: they don't fit; with both spaces.
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


def target_range(dataset: Dataset) -> tuple[float, float]:
    """The lowest and the highest target return that the data can be expected to say something about."""
    lowest, highest = float(dataset.returns.min()), float(dataset.returns.max())
    margin = max(_BEYOND_RANGE * (highest - lowest), _BEYOND_SIZE * max(abs(lowest), abs(highest)))
    return lowest - margin, highest + margin


def far_target(dataset: Dataset, target: float) -> str | None:
    """A warning, with the range of the data, if a target return is far outside of it; else None."""
    lowest, highest = target_range(dataset)
    if lowest <= target <= highest:
        return None
    returns = dataset.returns
    return (
        f"the target return {target:g} is far outside of {dataset.name}, whose episodes return "
        f"{returns.min():g} to {returns.max():g} (mean {returns.mean():g})"
    )


def _same_bounds(first: gym.Space, second: gym.Space) -> bool:
    if not (isinstance(first, spaces.Box) and isinstance(second, spaces.Box)):
        return True
    return np.allclose(first.low, second.low) and np.allclose(first.high, second.high)

"""Returns-to-go, normalized scores, and D4RL's references for them.

Source of the scale and of its numbers: Fu et al., D4RL: Datasets for Deep Data-Driven Reinforcement Learning, 2020.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from rl_larnn.envs.datasets.errors import DatasetError


class References(NamedTuple):
    """The returns that count as 0 (mean of random play) and as 100 (mean of an expert)."""

    minimum: float
    maximum: float


class Locomotion(NamedTuple):
    """What D4RL's files of one locomotion task do not tell.

    :param references: references of all levels and versions
    :param env_id: the maintained environment that is nearest to the one of the data
    :param env_kwargs: arguments of the environment
    :param max_episode_steps: step limit of every episode
    """

    references: References
    env_id: str
    env_kwargs: Mapping[str, Any] = MappingProxyType({})
    max_episode_steps: int = 1000


D4RL_LOCOMOTION: dict[str, Locomotion] = {
    "halfcheetah": Locomotion(References(-280.178953, 12135.0), "HalfCheetah-v4"),
    "hopper": Locomotion(References(-20.272305, 3234.3), "Hopper-v4"),
    "walker2d": Locomotion(References(1.629008, 4592.3), "Walker2d-v4"),
    "ant": Locomotion(References(-325.6, 3879.7), "Ant-v4", {"use_contact_forces": True}),
}
_LEVELS = "random|medium|expert|medium-replay|full-replay|medium-expert"
_NAME = re.compile(rf"({'|'.join(D4RL_LOCOMOTION)})-({_LEVELS})(-v[0-2])?")


def returns_to_go(rewards: np.ndarray) -> np.ndarray:
    """Return for each step the sum of the rewards from it to the end, its own reward included.

    :param rewards: (T,) rewards of one episode
    :return: (T,) float64; the first is the return of the episode, the last is the last reward
    """
    return np.cumsum(np.asarray(rewards, np.float64)[::-1])[::-1]


def normalized_score(returns: np.ndarray | float, minimum: float, maximum: float) -> np.ndarray:
    """Return 100 (return - minimum) / (maximum - minimum), as papers report it (D4RL's own function omits the 100).

    :param returns: undiscounted returns of any shape
    :param minimum: the mean return of random play
    :param maximum: the mean return of an expert
    :raises DatasetError: the maximum is not above the minimum
    """
    if not maximum > minimum:
        raise DatasetError(f"expected a maximum reference above the minimum, got {minimum:g} and {maximum:g}")
    return 100 * (np.asarray(returns, np.float64) - minimum) / (maximum - minimum)


def d4rl_locomotion(name: str) -> Locomotion | None:
    """Look up a dataset of D4RL by its name, ``hopper-medium-v2``, or by that of its file, ``hopper_medium-v2``."""
    match = _NAME.fullmatch(name.lower().replace("_", "-"))
    return None if match is None else D4RL_LOCOMOTION[match[1]]

"""A dataset: episodes, their spaces, the scale of their returns, and metadata."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from rl_larnn.envs.datasets.columns import Columns, Episodes
from rl_larnn.envs.datasets.episode import Episode
from rl_larnn.envs.datasets.errors import DatasetError
from rl_larnn.envs.datasets.scores import References, normalized_score

SUPPORTED = (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Episodes of one environment.

    :param name: the id or path of the dataset
    :param columns: all steps; ``episodes`` are views of them
    :param observation_space: Box (images included), Discrete, MultiDiscrete or MultiBinary
    :param action_space: likewise
    :param references: the returns that count as 0 and as 100, or None where they are unknown
    :param env_id: Gymnasium's id of the environment, or None where it is unknown
    :param env_kwargs: arguments of the environment
    :param metadata: plain data about the origin of the dataset
    :raises DatasetError: another kind of space, or observations or actions of another shape or kind than their space
    """

    name: str
    columns: Columns
    observation_space: gym.Space
    action_space: gym.Space
    references: References | None = None
    env_id: str | None = None
    env_kwargs: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key, space in (("observations", self.observation_space), ("actions", self.action_space)):
            check_supported(space, key, self.name)
            _check_fit(getattr(self.columns, key), space, key, self.name)

    @property
    def episodes(self) -> Sequence[Episode]:
        """The E episodes."""
        return Episodes(self.columns, self.name)

    @cached_property
    def steps(self) -> int:
        """N, the steps of all episodes."""
        return int(self.columns.lengths.sum())

    @property
    def returns(self) -> np.ndarray:
        """(E,) undiscounted returns."""
        return self.columns.returns

    def normalized_score(self, returns: np.ndarray | float) -> np.ndarray:
        """Scale returns to the references of this dataset: 0 is random play, 100 the expert.

        :raises DatasetError: the references are unknown
        """
        if self.references is None:
            raise DatasetError(
                f"{self.name} has no reference returns to scale by: use normalized_score(returns, minimum, maximum)"
            )
        return normalized_score(returns, *self.references)

    @property
    def fingerprint(self) -> str:
        """Checksum of lengths, rewards and actions."""
        columns, total = self.columns, 0
        for array in (columns.lengths, columns.rewards, columns.actions):
            total = zlib.crc32(np.ascontiguousarray(array).tobytes(), total)
        return f"{total:08x}"

    def check(self) -> "Dataset":
        """Check every value; return the dataset itself.

        :raises DatasetError: NaN or infinity, or a choice that does not exist, with the key, the shape and the episode;
            or a maximum reference that is not above the minimum
        """
        if self.references is not None and not self.references.maximum > self.references.minimum:
            raise DatasetError(
                f"{self.name}: expected a maximum reference above the minimum, got {self.references.minimum:g} and "
                f"{self.references.maximum:g}"
            )
        for number, episode in enumerate(self.episodes):
            for key, space in (("observations", self.observation_space), ("actions", self.action_space)):
                problem = _outside(getattr(episode, key), space)
                if problem:
                    raise DatasetError(f"{self.name}, episode {number}: {key}: {problem}")
        return self

    def with_episodes(self, episodes: Sequence[Episode], **changes: Any) -> "Dataset":
        """Return a dataset with other episodes, and with ``changes`` of other attributes."""
        return replace(self, columns=Columns.of(episodes), **changes)


def best_episodes(dataset: Dataset, share: float) -> Dataset:
    """Return the episodes of highest return that fit into a share of all *steps*; at least one episode.

    For behaviour cloning on the best tenth of the data. The share is one of steps, as in the experiments of Decision
    Transformer: where good episodes are long, a tenth of the episodes can be much more than a tenth of the data.

    :raises DatasetError: the share is not above 0 and at most 1
    """
    if not 0 < share <= 1:
        raise DatasetError(f"expected a share above 0 and at most 1, got {share}")
    order = np.argsort(-dataset.returns, kind="stable")
    within = np.cumsum(dataset.columns.lengths[order]) <= share * dataset.steps + 1e-9
    chosen = sorted(order[: max(1, int(within.sum()))])
    return dataset.with_episodes([dataset.episodes[int(number)] for number in chosen])


def check_supported(space: gym.Space, key: str, name: str) -> None:
    """Check that the values of a space are single arrays.

    :raises DatasetError: they are not
    """
    if not isinstance(space, SUPPORTED):
        raise DatasetError(
            f"{name}: {key}: expected a space of Box, Discrete, MultiDiscrete or MultiBinary, got {space}; "
            "gymnasium.wrappers.FlattenObservation turns most spaces into a Box"
        )


def to_dtype_of(space: gym.Space, array: np.ndarray, key: str) -> np.ndarray:
    """Convert numbers to the dtype of their space. Floats may lose precision.

    :raises DatasetError: fractions where the space has whole numbers
    """
    assert space.dtype is not None
    if array.dtype.kind == "f" and space.dtype.kind != "f":
        raise DatasetError(f"{key}: expected whole numbers of {space}, got {array.dtype} of shape {array.shape}")
    with np.errstate(over="ignore"):  # what is too large becomes infinite; the check for finite numbers finds it
        return array.astype(space.dtype, copy=False)


def _check_fit(array: np.ndarray, space: gym.Space, key: str, name: str) -> None:
    assert space.shape is not None
    if array.shape[1:] != space.shape or array.dtype != space.dtype:
        expected = ", ".join(str(size) for size in ("N", *space.shape))
        raise DatasetError(
            f"{name}: {key}: expected shape ({expected}) of {space.dtype} for {space}, "
            f"got {array.shape} of {array.dtype}"
        )


def _outside(array: np.ndarray, space: gym.Space) -> str:
    """Describe the first choice that does not exist, or return ""; also for a Box, since data exceed its bounds."""
    if isinstance(space, spaces.Box):
        return ""
    if isinstance(space, spaces.Discrete):
        start, size = space.start, space.n
    elif isinstance(space, spaces.MultiDiscrete):
        start, size = space.start, space.nvec
    else:
        start, size = np.int64(0), np.int64(2)
    wrong = (array < start) | (array >= start + size)
    if not wrong.any():
        return ""
    step = int(np.flatnonzero(wrong.reshape(len(array), -1).any(1))[0])
    return f"expected choices of {space}, got {array[step]} at step {step} of {array.shape}"

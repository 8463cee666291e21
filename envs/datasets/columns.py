"""All steps of a dataset as flat arrays, one episode after the other. The cache stores these arrays."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import overload

import numpy as np

from rl_larnn.envs.datasets.episode import Episode
from rl_larnn.envs.datasets.errors import DatasetError
from rl_larnn.envs.datasets.scores import returns_to_go


@dataclass(frozen=True, eq=False)
class Columns:
    """N steps of E episodes.

    :param observations: (N, ...)
    :param actions: (N, ...)
    :param rewards: (N,) float64
    :param lengths: (E,) steps of each episode; they add up to N
    :param terminated: (E,) bool, see ``Episode``
    :param truncated: (E,) bool
    :param final_observations: (E, ...), or None where they are unknown
    :raises DatasetError: lengths that do not agree
    """

    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    lengths: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    final_observations: np.ndarray | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "rewards", self.rewards.astype(np.float64, copy=False))
        steps, episodes = int(self.lengths.sum()), len(self.lengths)
        if episodes == 0 or self.lengths.min() < 1:
            raise DatasetError(f"expected at least one whole episode, of at least one step, got {episodes} episodes")
        rows = dict.fromkeys(("observations", "actions", "rewards"), steps)
        rows |= dict.fromkeys(("terminated", "truncated", "final_observations"), episodes)
        for key, expected in rows.items():
            array = getattr(self, key)
            if array is not None and len(array) != expected:
                raise DatasetError(f"{key}: expected shape ({expected}, ...), got {array.shape}")

    @classmethod
    def of(cls, episodes: Sequence[Episode]) -> "Columns":
        """Join episodes. Final observations are kept if all episodes have one.

        :raises DatasetError: there are none, or observations or actions differ in shape or dtype between episodes
        """
        if len(episodes) == 0:
            raise DatasetError("expected at least one whole episode, got none")
        for key in ("observations", "actions"):
            _check_alike([getattr(episode, key) for episode in episodes], key)
        finals = [episode.final_observation for episode in episodes]
        known = [final for final in finals if final is not None]
        return cls(
            observations=np.concatenate([episode.observations for episode in episodes]),
            actions=np.concatenate([episode.actions for episode in episodes]),
            rewards=np.concatenate([episode.rewards for episode in episodes]),
            lengths=np.array([len(episode) for episode in episodes], np.int64),
            terminated=np.array([episode.terminated for episode in episodes], bool),
            truncated=np.array([episode.truncated for episode in episodes], bool),
            final_observations=np.stack(known) if len(known) == len(finals) else None,
        )

    @cached_property
    def offsets(self) -> np.ndarray:
        """(E,) the row of the first step of each episode."""
        return np.concatenate([[0], np.cumsum(self.lengths[:-1])]).astype(np.int64)

    @cached_property
    def episode_numbers(self) -> np.ndarray:
        """(N,) the number of the episode of each step."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

    @cached_property
    def returns(self) -> np.ndarray:
        """(E,) undiscounted return of each episode."""
        return np.add.reduceat(self.rewards, self.offsets)

    @cached_property
    def returns_to_go(self) -> np.ndarray:
        """(N,) the sum of the rewards from each step to the end of its episode, the step's own included."""
        return np.concatenate([returns_to_go(part) for part in np.split(self.rewards, self.offsets[1:])])

    @property
    def names(self) -> list[str]:
        """The names of the arrays; without ``final_observations`` where they are unknown."""
        return [field.name for field in fields(self) if getattr(self, field.name) is not None]


class Episodes(Sequence[Episode]):
    """The episodes of columns, made on access; their arrays are views."""

    def __init__(self, columns: Columns, name: str):
        self._columns, self._name = columns, name

    def __len__(self) -> int:
        return len(self._columns.lengths)

    @overload
    def __getitem__(self, index: int) -> Episode: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Episode]: ...

    def __getitem__(self, index: int | slice) -> Episode | Sequence[Episode]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        number = range(len(self))[index]
        columns = self._columns
        rows = slice(columns.offsets[number], columns.offsets[number] + columns.lengths[number])
        try:
            return Episode(
                columns.observations[rows],
                columns.actions[rows],
                columns.rewards[rows],
                columns.terminated[number],
                columns.truncated[number],
                None if columns.final_observations is None else columns.final_observations[number],
            )
        except DatasetError as error:
            raise DatasetError(f"{self._name}, episode {number}: {error}") from None

    def __iter__(self) -> Iterator[Episode]:
        return (self[i] for i in range(len(self)))


def _check_alike(arrays: list[np.ndarray], key: str) -> None:
    first = arrays[0]
    for number, array in enumerate(arrays):
        if array.shape[1:] != first.shape[1:] or array.dtype != first.dtype:
            raise DatasetError(
                f"episode {number}: {key}: expected shape (T, {_dimensions(first)}) of {first.dtype} as in episode 0, "
                f"got {array.shape} of {array.dtype}"
            )


def _dimensions(array: np.ndarray) -> str:
    return ", ".join(str(size) for size in array.shape[1:])

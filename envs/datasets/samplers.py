"""Endless batches for learners: windows, whole episodes, or streams through which a learner carries its memory.

Each sampler can save its ``state`` and ``restore`` it, so that a run can be resumed. Letters as in windows.py.
"""

from typing import Any, Protocol

import numpy as np

from rl_larnn.envs.datasets.dataset import Dataset
from rl_larnn.envs.datasets.errors import DatasetError
from rl_larnn.envs.datasets.windows import Windows, episode_order, gather, whole_episodes, windows_of


class Sampler(Protocol):
    """A source of batches. Equal states give equal batches."""

    def sample(self) -> Windows:
        """Return the next batch."""

    def state(self) -> dict[str, Any]:
        """Return the position of the sampler as plain data."""

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a ``state``."""


class WindowSampler:
    """Draws windows; each step of the dataset is equally likely to be the first one.

    :param dataset: the dataset
    :param length: K
    :param batch_size: B
    :param seed: seed of the draws
    :raises DatasetError: a number is not positive
    """

    def __init__(self, dataset: Dataset, length: int, batch_size: int = 64, seed: int = 0):
        if min(length, batch_size) < 1:
            raise DatasetError(f"expected at least 1 window of at least 1 step, got {batch_size} of {length}")
        self.length, self.batch_size = length, batch_size
        self._generator = np.random.default_rng(seed)
        self._columns = dataset.columns

    def sample(self) -> Windows:
        """Return the next batch."""
        return self.at(self._generator.integers(len(self._columns.episode_numbers), size=self.batch_size))

    def at(self, first: np.ndarray) -> Windows:
        """Return the windows that begin at given rows (B,) of the dataset, 0 to N - 1."""
        return gather(self._columns, first, self._columns.episode_numbers[first], self.length)

    def state(self) -> dict[str, Any]:
        """Return the position of the sampler as plain data."""
        return {"generator": self._generator.bit_generator.state}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a ``state``."""
        self._generator.bit_generator.state = state["generator"]


class EpisodeSampler:
    """Whole episodes, in passes over the dataset, each pass in a new order.

    :param dataset: the dataset
    :param batch_size: episodes in a batch; the last batch of a pass may have fewer
    :param seed: seed of the orders
    :raises DatasetError: the batch size is not positive
    """

    def __init__(self, dataset: Dataset, batch_size: int, seed: int = 0):
        self._dataset, self._batch_size, self._seed = dataset, batch_size, seed
        self._pass, self._taken = 0, 0
        self._order = self._draw()

    def _draw(self) -> list[np.ndarray]:
        return episode_order(self._dataset, self._batch_size, np.random.default_rng((self._seed, self._pass)))

    def sample(self) -> Windows:
        """Return the next batch."""
        if self._taken == len(self._order):
            self._pass, self._taken = self._pass + 1, 0
            self._order = self._draw()
        self._taken += 1
        return whole_episodes(self._dataset.columns, self._order[self._taken - 1])

    def state(self) -> dict[str, Any]:
        """Return the position of the sampler as plain data."""
        return {"seed": self._seed, "pass": self._pass, "taken": self._taken}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a ``state``."""
        self._seed, self._pass, self._taken = (int(state[key]) for key in ("seed", "pass", "taken"))
        self._order = self._draw()


class StreamSampler:
    """B streams of randomly drawn episodes, one after the other; a batch is the next K steps of each stream.

    A learner carries its memory from batch to batch and resets it where ``times`` is 0, as when it acts. So it learns
    with memories of any age, with gradients through K steps. The first episode of each stream begins at a random step,
    so that streams of equal episodes are not in step. There is no padding.

    :param dataset: the dataset
    :param length: K
    :param n_streams: B
    :param seed: seed of the draws
    :raises DatasetError: a number is not positive
    """

    def __init__(self, dataset: Dataset, length: int, n_streams: int, seed: int = 0):
        if min(length, n_streams) < 1:
            raise DatasetError(f"expected at least 1 stream of at least 1 step, got {n_streams} of {length}")
        self.length = length
        self._columns = dataset.columns
        self._generator = np.random.default_rng(seed)
        row = self._generator.integers(dataset.steps, size=n_streams)
        self._episodes = self._columns.episode_numbers[row]
        self._rows = row  # of the next step of each stream

    def sample(self) -> Windows:
        """Return the next K steps of each stream."""
        rows = np.empty((len(self._rows), self.length), np.int64)
        episodes = np.empty_like(rows)
        ends = self._columns.offsets + self._columns.lengths
        for step in range(self.length):
            rows[:, step], episodes[:, step] = self._rows, self._episodes
            self._rows = self._rows + 1
            over = np.flatnonzero(self._rows == ends[self._episodes])
            if len(over):
                self._episodes[over] = self._generator.integers(len(ends), size=len(over))
                self._rows[over] = self._columns.offsets[self._episodes[over]]
        return windows_of(self._columns, rows, episodes, np.ones(rows.shape, bool))

    def state(self) -> dict[str, Any]:
        """Return the position of the sampler as plain data."""
        return {
            "generator": self._generator.bit_generator.state,
            "episodes": self._episodes.tolist(),
            "rows": self._rows.tolist(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a ``state``."""
        self._generator.bit_generator.state = state["generator"]
        self._episodes = np.array(state["episodes"], np.int64)
        self._rows = np.array(state["rows"], np.int64)

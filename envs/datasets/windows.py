"""Stretches of episodes as batches for learners: windows of a fixed length, or whole episodes.

Letters: B rows of a batch, K steps of a window, N steps of the dataset, E episodes.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from rl_larnn.envs.datasets.columns import Columns
from rl_larnn.envs.datasets.dataset import Dataset
from rl_larnn.envs.datasets.errors import DatasetError

#: Batches' worth of episodes that are sorted by length before they are cut into batches.
_POOL = 16


@dataclass(frozen=True, eq=False)
class Windows:
    """B stretches of up to K steps, copies of the data.

    Where an episode ends before its window does, the rest repeats the last step: it is padding, but valid in its
    space. What is real comes first, so nothing that looks only backwards ever sees padding.

    Attributes:
        observations: (B, K, ...).
        actions: (B, K, ...).
        rewards: (B, K).
        returns_to_go: (B, K) sum of the rewards of the *episode* from each step on, its own included.
        times: (B, K) which step of its episode each is, from 0.
        mask: (B, K) True for real steps, False for padding.
    """

    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    returns_to_go: np.ndarray
    times: np.ndarray
    mask: np.ndarray


class WindowSampler:
    """Draws windows, each step of the dataset being equally likely as the first of a window.

    Args:
        dataset: what to draw from.
        length: K.
        seed: of the draws; the generator itself is ``generator``, whose state can be saved and restored.

    Raises:
        DatasetError: the length is not positive.
    """

    def __init__(self, dataset: Dataset, length: int, seed: int = 0):
        if length < 1:
            raise DatasetError(f"expected windows of at least 1 step, got {length}")
        self.length = length
        self.generator = np.random.default_rng(seed)
        self._columns = dataset.columns
        self._episode_of = np.repeat(np.arange(len(dataset.episodes)), dataset.columns.lengths)

    def sample(self, batch_size: int) -> Windows:
        """B = ``batch_size`` windows."""
        return self.at(self.generator.integers(len(self._episode_of), size=batch_size))

    def at(self, first: np.ndarray) -> Windows:
        """The windows that begin at the given rows (B,) of the dataset, 0 to N - 1."""
        return _gather(self._columns, first, self._episode_of[first], self.length)


def episode_batches(
    dataset: Dataset, batch_size: int, generator: np.random.Generator | None = None
) -> Iterator[Windows]:
    """Every episode once, whole, in batches as wide as the longest of each.

    Args:
        dataset: what to go through.
        batch_size: episodes in a batch; the last one may have fewer.
        generator: draws the order; episodes of similar length then share a batch, to save padding. None: as stored.

    Raises:
        DatasetError: the batch size is not positive.
    """
    if batch_size < 1:
        raise DatasetError(f"expected batches of at least 1 episode, got {batch_size}")
    lengths = dataset.columns.lengths
    order = np.arange(len(lengths)) if generator is None else _shuffled(lengths, batch_size, generator)
    batches = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
    if generator is not None:
        batches = [batches[i] for i in generator.permutation(len(batches))]
    for numbers in batches:
        yield _gather(dataset.columns, dataset.columns.starts[numbers], numbers, int(lengths[numbers].max()))


def _shuffled(lengths: np.ndarray, batch_size: int, generator: np.random.Generator) -> np.ndarray:
    """A random order of the episodes, in which every pool of some batches is sorted by length."""
    order = generator.permutation(len(lengths))
    pools = [order[i : i + _POOL * batch_size] for i in range(0, len(order), _POOL * batch_size)]
    return np.concatenate([pool[np.argsort(lengths[pool], kind="stable")] for pool in pools])


def _gather(columns: Columns, first: np.ndarray, episodes: np.ndarray, length: int) -> Windows:
    """Windows from rows ``first`` (B,) of the episodes with these numbers (B,)."""
    wanted = first[:, None] + np.arange(length)
    rows = np.minimum(wanted, (columns.starts[episodes] + columns.lengths[episodes] - 1)[:, None])
    return Windows(
        columns.observations[rows],
        columns.actions[rows],
        columns.rewards[rows],
        columns.returns_to_go[rows],
        rows - columns.starts[episodes][:, None],
        wanted == rows,
    )

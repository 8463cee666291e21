"""Batches for learners: windows of a fixed length, or whole episodes. samplers.py draws them.

Letters: B rows of a batch, K steps of a window, N steps of the dataset, E episodes.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from rl_larnn.envs.datasets.columns import Columns
from rl_larnn.envs.datasets.dataset import Dataset
from rl_larnn.envs.datasets.errors import DatasetError

#: Episodes of this many batches are sorted by length together.
_POOL = 16


@dataclass(frozen=True, eq=False)
class Windows:
    """B windows of up to K steps, copied from the data.

    Where an episode ends before its window, the last step is repeated. This padding is valid in its space, and it comes
    last, so a causal model never sees it.

    :param observations: (B, K, ...)
    :param actions: (B, K, ...)
    :param rewards: (B, K)
    :param returns_to_go: (B, K) sum of the rewards from each step to the end of the *episode*, its own included
    :param times: (B, K) number of each step in its episode, from 0
    :param previous_actions: (B, K, ...) the action before each step; meaningless where ``times`` is 0
    :param rows: (B, K) row of each step in the dataset
    :param mask: (B, K) True for real steps, False for padding
    """

    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    returns_to_go: np.ndarray
    times: np.ndarray
    previous_actions: np.ndarray
    rows: np.ndarray
    mask: np.ndarray


def episode_batches(
    dataset: Dataset, batch_size: int, generator: np.random.Generator | None = None
) -> Iterator[Windows]:
    """Yield every episode once, whole, in batches as wide as their longest episode.

    :param dataset: the dataset
    :param batch_size: episodes in a batch; the last batch may have fewer
    :param generator: draws the order, in which episodes of similar length share a batch to save padding; None: as
        stored
    :raises DatasetError: the batch size is not positive
    """
    return (whole_episodes(dataset.columns, numbers) for numbers in episode_order(dataset, batch_size, generator))


def episode_order(dataset: Dataset, batch_size: int, generator: np.random.Generator | None = None) -> list[np.ndarray]:
    """Return the numbers of the episodes in each batch of ``episode_batches``."""
    if batch_size < 1:
        raise DatasetError(f"expected batches of at least 1 episode, got {batch_size}")
    lengths = dataset.columns.lengths
    order = np.arange(len(lengths)) if generator is None else _shuffled(lengths, batch_size, generator)
    batches = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
    return batches if generator is None else [batches[i] for i in generator.permutation(len(batches))]


def _shuffled(lengths: np.ndarray, batch_size: int, generator: np.random.Generator) -> np.ndarray:
    """Draw a random order of the episodes, in which each pool of ``_POOL`` batches is sorted by length."""
    order = generator.permutation(len(lengths))
    pools = [order[i : i + _POOL * batch_size] for i in range(0, len(order), _POOL * batch_size)]
    return np.concatenate([pool[np.argsort(lengths[pool], kind="stable")] for pool in pools])


def whole_episodes(columns: Columns, numbers: np.ndarray) -> Windows:
    """Return the episodes with these numbers (B,), as wide as the longest."""
    return gather(columns, columns.offsets[numbers], numbers, int(columns.lengths[numbers].max()))


def gather(columns: Columns, first: np.ndarray, episodes: np.ndarray, length: int) -> Windows:
    """Return windows of ``length`` steps that begin at rows ``first`` (B,), from episodes with these numbers (B,)."""
    wanted = first[:, None] + np.arange(length)
    rows = np.minimum(wanted, (columns.offsets[episodes] + columns.lengths[episodes] - 1)[:, None])
    return windows_of(columns, rows, episodes[:, None], wanted == rows)


def windows_of(columns: Columns, rows: np.ndarray, episodes: np.ndarray, mask: np.ndarray) -> Windows:
    """Return windows of these rows (B, K) of the columns, from episodes with these numbers (B, K) or (B, 1)."""
    times = rows - columns.offsets[episodes]
    return Windows(
        columns.observations[rows],
        columns.actions[rows],
        columns.rewards[rows],
        columns.returns_to_go[rows],
        times,
        columns.actions[rows - (times > 0)],
        rows,
        mask,
    )

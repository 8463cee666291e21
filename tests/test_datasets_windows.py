"""Windows and whole episodes against plain loops over the episodes."""

from __future__ import annotations

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_larnn.envs.datasets import Dataset, DatasetError, Windows, WindowSampler, episode_batches
from tests.dataset_cases import PUSHES, random_dataset

LENGTHS = st.lists(st.integers(1, 9), min_size=1, max_size=6)


def plain_window(dataset: Dataset, row: int, length: int) -> dict[str, np.ndarray]:
    """The window from one row of the dataset on, by walking through the episodes."""
    first = 0
    for episode in dataset.episodes:
        if row - first < len(episode):
            break
        first += len(episode)
    row -= first
    steps = [min(row + k, len(episode) - 1) for k in range(length)]
    return {
        "observations": np.stack([episode.observations[t] for t in steps]),
        "actions": np.stack([episode.actions[t] for t in steps]),
        "rewards": np.array([episode.rewards[t] for t in steps]),
        "returns_to_go": np.array([episode.rewards[t:].sum() for t in steps]),
        "times": np.array(steps),
        "previous_actions": np.stack([episode.actions[max(t - 1, 0)] for t in steps]),
        "rows": first + np.array(steps),
        "mask": np.array([row + k < len(episode) for k in range(length)]),
    }


def assert_windows(windows: Windows, expected: list[dict[str, np.ndarray]]) -> None:
    for key in expected[0]:
        wanted = np.stack([window[key] for window in expected])
        close = npt.assert_allclose if key == "returns_to_go" else npt.assert_array_equal
        close(getattr(windows, key), wanted, **({"atol": 1e-12} if key == "returns_to_go" else {}))


@given(lengths=LENGTHS, length=st.integers(1, 12), discrete=st.booleans())
def test_windows_are_stretches_of_episodes(lengths: list[int], length: int, discrete: bool) -> None:
    dataset = random_dataset(lengths, **({"action_space": PUSHES} if discrete else {}))
    rows = np.arange(dataset.steps)
    windows = WindowSampler(dataset, length).at(rows)
    assert_windows(windows, [plain_window(dataset, int(row), length) for row in rows])
    assert windows.observations.dtype == np.float32 and windows.mask[:, 0].all()


def test_a_window_by_hand() -> None:
    dataset = random_dataset([3, 2])
    dataset.columns.rewards[:] = [1, 2, 3, 10, 20]
    windows = WindowSampler(dataset, 3).at(np.array([1, 3]))
    npt.assert_array_equal(windows.returns_to_go, [[5, 3, 3], [30, 20, 20]])
    npt.assert_array_equal(windows.times, [[1, 2, 2], [0, 1, 1]])
    npt.assert_array_equal(windows.mask, [[True, True, False], [True, True, False]])


def test_windows_are_copies() -> None:
    dataset = random_dataset([4])
    WindowSampler(dataset, 4).at(np.array([0])).observations[:] = 7
    assert not (dataset.columns.observations == 7).any()


@given(lengths=LENGTHS, batch_size=st.integers(1, 4), shuffled=st.booleans())
def test_batches_go_through_every_episode_once(lengths: list[int], batch_size: int, shuffled: bool) -> None:
    dataset = random_dataset(lengths)
    generator = np.random.default_rng(0) if shuffled else None
    seen = []
    for batch in episode_batches(dataset, batch_size, generator):
        assert len(batch.mask) <= batch_size and batch.mask.shape[1] == batch.mask.sum(1).max()
        for i, steps in enumerate(batch.mask.sum(1)):
            row = int(np.flatnonzero((dataset.columns.observations == batch.observations[i, 0]).all(1))[0])
            seen.append(row)
            expected = plain_window(dataset, row, batch.mask.shape[1])
            one = Windows(**{key: getattr(batch, key)[i : i + 1] for key in expected})
            assert_windows(one, [expected])
            assert batch.times[i, steps - 1] == steps - 1 and steps in lengths
    offsets = dataset.columns.offsets.tolist()
    assert sorted(seen) == offsets and (shuffled or seen == offsets)


def test_shuffling_saves_padding_and_changes_the_order() -> None:
    lengths = np.random.default_rng(0).integers(1, 100, 64).tolist()
    dataset = random_dataset(lengths)
    padding = {
        name: sum(int((~batch.mask).sum()) for batch in episode_batches(dataset, 8, generator))
        for name, generator in (("stored", None), ("shuffled", np.random.default_rng(0)))
    }
    assert padding["shuffled"] < padding["stored"] / 3
    orders = [
        [batch.rewards[0, 0] for batch in episode_batches(dataset, 8, np.random.default_rng(seed))]
        for seed in (0, 0, 1)
    ]
    assert orders[0] == orders[1] != orders[2]


def test_sizes_have_to_be_positive() -> None:
    dataset = random_dataset([2])
    with pytest.raises(DatasetError, match="batches of at least 1 episode, got 0"):
        next(episode_batches(dataset, 0))

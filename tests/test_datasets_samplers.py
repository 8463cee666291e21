"""Endless batches: draws are fair, streams play episodes as they are, and all go on from a saved state."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_larnn.envs.datasets import (
    Dataset,
    DatasetError,
    EpisodeSampler,
    Sampler,
    StreamSampler,
    Windows,
    WindowSampler,
)
from tests.dataset_cases import random_dataset

LENGTHS = st.lists(st.integers(1, 9), min_size=1, max_size=6)
SAMPLERS: dict[str, Callable[[Dataset, int], Sampler]] = {
    "windows": lambda dataset, seed: WindowSampler(dataset, 3, 4, seed),
    "episodes": lambda dataset, seed: EpisodeSampler(dataset, 2, seed),
    "streams": lambda dataset, seed: StreamSampler(dataset, 3, 4, seed),
}
every_sampler = pytest.mark.parametrize("make", SAMPLERS.values(), ids=SAMPLERS)


def plain(windows: Windows) -> list[list[float]]:
    return windows.rewards.tolist()


@every_sampler
def test_draws_repeat_with_the_seed_and_go_on_from_a_saved_state(make: Callable[[Dataset, int], Sampler]) -> None:
    dataset = random_dataset([7, 5, 2, 6, 3])
    first, second, other = (make(dataset, seed) for seed in (3, 3, 4))
    drawn = [[plain(sampler.sample()) for _ in range(7)] for sampler in (first, second, other)]
    assert drawn[0] == drawn[1] != drawn[2]
    state = json.loads(json.dumps(first.state()))
    expected = [plain(first.sample()) for _ in range(7)]
    other.restore(state)
    assert [plain(other.sample()) for _ in range(7)] == expected


def test_every_step_is_equally_likely_to_open_a_window() -> None:
    dataset = random_dataset([1, 20, 3, 6])
    draws = 30_000
    times = WindowSampler(dataset, 1, draws, seed=1).sample().observations[:, 0, 0]
    counts = Counter(times.tolist())
    assert len(counts) == dataset.steps
    expected = draws / dataset.steps
    assert max(abs(count - expected) for count in counts.values()) < 5 * np.sqrt(expected)


@given(lengths=LENGTHS, batch_size=st.integers(1, 4), seed=st.integers(0, 9))
def test_each_pass_shows_every_episode_once(lengths: list[int], batch_size: int, seed: int) -> None:
    dataset = random_dataset(lengths)
    sampler, orders = EpisodeSampler(dataset, batch_size, seed), set()
    for _ in range(12):
        shown: list[float] = []
        while len(shown) < len(lengths):
            shown += sampler.sample().observations[:, 0, 0].tolist()
        orders.add(tuple(shown))
        assert sorted(shown) == sorted(dataset.columns.observations[dataset.columns.offsets, 0].tolist())
    assert len(orders) > 1 or batch_size > 1 or len(lengths) < 3


@given(lengths=LENGTHS, length=st.integers(1, 7), seed=st.integers(0, 99))
def test_streams_play_episodes_from_the_first_step_to_the_last(lengths: list[int], length: int, seed: int) -> None:
    dataset = random_dataset(lengths)
    columns = dataset.columns
    sampler = StreamSampler(dataset, length, 3, seed)
    batches = [sampler.sample() for _ in range(12)]
    assert all(batch.mask.all() for batch in batches)
    for stream in range(3):
        seen = np.concatenate([batch.observations[stream] for batch in batches])[:, 0]
        rows = np.array([int(np.flatnonzero(columns.observations[:, 0] == value)[0]) for value in seen])
        number = np.searchsorted(columns.offsets, rows, side="right") - 1
        times = np.concatenate([batch.times[stream] for batch in batches])
        npt.assert_array_equal(times, rows - columns.offsets[number])
        before = np.concatenate([batch.previous_actions[stream] for batch in batches])
        for step in range(1, len(rows)):
            if times[step]:
                assert rows[step] == rows[step - 1] + 1
                npt.assert_array_equal(before[step], columns.actions[rows[step - 1]])
            else:
                assert times[step - 1] == columns.lengths[number[step - 1]] - 1


def test_streams_visit_every_step_equally_often_and_do_not_run_abreast() -> None:
    dataset = random_dataset([10] * 5)
    sampler = StreamSampler(dataset, 10, 200, seed=0)
    first = sampler.sample()
    assert len(set(first.times[:, 0].tolist())) == 10
    drawn = np.concatenate([sampler.sample().observations[..., 0] for _ in range(50)]).ravel()
    counts = Counter(drawn.tolist())
    assert len(counts) == 50
    # Whole episodes are drawn, so the counts of 2,000 per step scatter as those of 10,000 draws of five.
    assert max(abs(count - 2000) for count in counts.values()) < 5 * np.sqrt(2000)


def test_sizes_have_to_be_positive() -> None:
    dataset = random_dataset([2])
    with pytest.raises(DatasetError, match="at least 1 step, got 64 of 0"):
        WindowSampler(dataset, 0)
    with pytest.raises(DatasetError, match="at least 1 window of at least 1 step, got 0 of 2"):
        WindowSampler(dataset, 2, 0)
    with pytest.raises(DatasetError, match="batches of at least 1 episode, got 0"):
        EpisodeSampler(dataset, 0)
    with pytest.raises(DatasetError, match="at least 1 stream of at least 1 step, got 0 of 3"):
        StreamSampler(dataset, 3, 0)

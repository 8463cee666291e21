"""The statistics of several runs: numbers worked by hand, and laws."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_larnn.errors import UserError

pytest.importorskip("scipy")

from scipy.stats import mannwhitneyu

from rl_larnn.agents.suites import statistics
from rl_larnn.agents.suites.statistics import (
    Scores,
    interquartile_mean,
    performance_profile,
    pooled_interquartile_mean,
    probability_of_improvement,
)

#: Few different values, so that ties are common.
RUNS = st.lists(st.integers(-4, 4).map(lambda value: value / 4), min_size=1, max_size=9)
SCORES = st.dictionaries(st.sampled_from("abcd"), RUNS, min_size=1)
THRESHOLDS = np.array([-1.5, -0.5, 0.0, 0.3, 1.0])


def shuffled(scores: Scores) -> Scores:
    """The same runs, tasks and seeds in reverse."""
    return {task: list(reversed(scores[task])) for task in reversed(list(scores))}


def test_the_middle_half_by_hand() -> None:
    # Eight runs: two go at each end, (2 + 3 + 4 + 5) / 4; the outlier has no say.
    assert interquartile_mean([100, 1, 2, 5, 3, 4, 0, 7]) == 3.5
    # Five: 1.25 is rounded down to one, (2 + 3 + 7) / 3.
    assert interquartile_mean([2, 3, 7, -50, 50]) == 4
    # Three: nothing goes, (0 + 1 + 5) / 3.
    assert interquartile_mean([5, 0, 1]) == 2


def test_runs_of_all_tasks_are_pooled_by_hand() -> None:
    # 0, 1, 2, 3 and 10, 20, 30, 40 in one: 2, 3, 10, 20 stay, 35 / 4. A mean of the tasks' means would be 13.25.
    estimate = pooled_interquartile_mean({"a": [3, 0, 1, 2], "b": [40, 10, 30, 20]})
    assert estimate.value == 8.75 and (estimate.fewest, estimate.most) == (4, 4) and estimate.reliable
    # One task with too few seeds is enough to spoil the interval.
    estimate = pooled_interquartile_mean({"a": [3, 0, 1, 2], "b": [40, 10]})
    assert (estimate.fewest, estimate.most) == (2, 4) and not estimate.reliable and not estimate.degenerate


def test_seeds_are_redrawn_within_their_task_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    # Whatever is drawn, there are two zeros and two ones. Drawn from all four runs, the mean would range over 0 to 1.
    estimate = pooled_interquartile_mean({"a": [0, 0], "b": [1, 1]})
    assert (estimate.value, estimate.low, estimate.high) == (0.5, 0.5, 0.5)
    assert not estimate.degenerate and not estimate.reliable
    # Two seeds, 0 and 1: the mean of a redraw is 0, 0.5 or 1 with probability 1/4, 1/2, 1/4. The outer 5 % are 0 and
    # 1; the middle 40 % lie between the quantiles 0.3 and 0.7, both 0.5.
    estimate = pooled_interquartile_mean({"a": [0, 1]})
    assert (estimate.low, estimate.high) == (0, 1)
    monkeypatch.setattr(statistics, "LEVEL", 0.4)
    estimate = pooled_interquartile_mean({"a": [0, 1]})
    assert (estimate.low, estimate.high) == (0.5, 0.5)


def test_profiles_by_hand() -> None:
    profile = performance_profile({"a": [0, 0.5], "b": [0.5, 1]}, np.array([-0.1, 0, 0.5, 0.9, 1]))
    # Above, not at: 4, 3, 1, 1 and 0 of four runs.
    assert profile.fraction.tolist() == [1, 0.75, 0.25, 0.25, 0]
    # Above 0 are both runs of b and, of two redraws of a, none, one or both: 2/4 to 4/4.
    assert (profile.low[1], profile.high[1]) == (0.5, 1)


def test_probability_of_improvement_by_hand() -> None:
    # On a, 2 beats 1 and ties with 2, 0 loses twice: 1.5 of 4 pairs. On b, all is won. (3/8 + 1) / 2. c is theirs only.
    estimate = probability_of_improvement({"a": [0, 2], "b": [9]}, {"a": [1, 2], "b": [7, 8], "c": [1]})
    assert estimate.value == 11 / 16 and (estimate.fewest, estimate.most) == (1, 2)
    # The opponent's seeds are redrawn too: a single run against 0 and 2 wins none, half or all of the pairs.
    estimate = probability_of_improvement({"a": [1]}, {"a": [0, 2]})
    assert (estimate.value, estimate.low, estimate.high) == (0.5, 0, 1)


@given(SCORES, st.integers(0, 3))
def test_order_changes_nothing(scores: Scores, seed: int) -> None:
    other = {task: [0.25, 0.5] for task in scores}
    assert pooled_interquartile_mean(scores, seed) == pooled_interquartile_mean(shuffled(scores), seed)
    there, back = (probability_of_improvement(own, other, seed) for own in (scores, shuffled(scores)))
    assert there == back
    for name in ("fraction", "low", "high"):
        profiles = (performance_profile(own, THRESHOLDS, seed) for own in (scores, shuffled(scores)))
        assert np.array_equal(*(getattr(profile, name) for profile in profiles))


@given(RUNS)
def test_the_middle_is_between_the_worst_and_the_best(runs: list[float]) -> None:
    assert min(runs) - 1e-9 <= interquartile_mean(runs) <= max(runs) + 1e-9
    assert interquartile_mean([run + 5 for run in runs]) == pytest.approx(interquartile_mean(runs) + 5)
    assert interquartile_mean([-run for run in runs]) == pytest.approx(-interquartile_mean(runs))


@given(SCORES, SCORES)
def test_one_of_two_improves_on_the_other(own: Scores, other: Scores) -> None:
    if not set(own) & set(other):
        with pytest.raises(UserError, match="expected a task in both"):
            probability_of_improvement(own, other)
        return
    forth, back = probability_of_improvement(own, other), probability_of_improvement(other, own)
    assert forth.value + back.value == pytest.approx(1)
    assert 0 <= forth.low <= forth.high <= 1
    assert probability_of_improvement(own, own).value == pytest.approx(0.5)


@given(RUNS, RUNS)
def test_a_single_task_is_the_statistic_of_mann_and_whitney(own: list[float], other: list[float]) -> None:
    pairs = len(own) * len(other)
    expected = mannwhitneyu(own, other, method="asymptotic").statistic / pairs if len({*own, *other}) > 1 else 0.5
    assert probability_of_improvement({"a": own}, {"a": other}).value == pytest.approx(expected)


@given(SCORES)
def test_intervals_hold_the_estimate(scores: Scores) -> None:
    other = {task: [-0.25, 0.0, 0.5] for task in scores}
    for estimate in (pooled_interquartile_mean(scores), probability_of_improvement(scores, other)):
        assert estimate.low - 1e-9 <= estimate.value <= estimate.high + 1e-9
    profile = performance_profile(scores, THRESHOLDS)
    assert (profile.low <= profile.fraction).all() and (profile.fraction <= profile.high).all()
    assert (np.diff(profile.fraction) <= 0).all() and profile.fraction[0] == 1 and profile.fraction[-1] == 0


@given(st.dictionaries(st.sampled_from("abcd"), RUNS.map(lambda runs: runs[:1]), min_size=1))
def test_one_seed_says_nothing_about_chance(scores: Scores) -> None:
    for estimate in (pooled_interquartile_mean(scores), probability_of_improvement(scores, shuffled(scores))):
        assert estimate.degenerate and not estimate.reliable
        assert estimate.low == pytest.approx(estimate.value) == estimate.high


def test_the_resampling_is_seeded() -> None:
    scores = {"a": list(np.linspace(0, 1, 7) ** 2)}
    first, again, other = (pooled_interquartile_mean(scores, seed) for seed in (0, 0, 1))
    assert first == again and first.value == other.value and first != other


def test_more_seeds_narrow_the_interval() -> None:
    few, many = ({"a": list(np.linspace(0, 1, seeds)), "b": [0.5] * seeds} for seeds in (5, 50))
    narrow, wide = (pooled_interquartile_mean(scores) for scores in (many, few))
    assert 0 < narrow.high - narrow.low < 0.5 * (wide.high - wide.low)


@pytest.mark.parametrize("scores", [{}, {"a": [1.0], "b": []}])
def test_nothing_to_average_is_told(scores: Scores) -> None:
    for compute in (pooled_interquartile_mean, lambda own: performance_profile(own, THRESHOLDS)):
        with pytest.raises(UserError, match="at least one run of every task"):
            compute(scores)


def test_a_missing_scipy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name.startswith("scipy"):
            raise ImportError(f"No module named {name!r}")
        return original(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError, match=r"pip install 'rl-larnn\[plots\]'"):
        interquartile_mean([1.0])

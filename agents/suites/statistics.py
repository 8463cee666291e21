"""What several runs say together: their middle half, how far chance could move it, and who beats whom.

Source: Agarwal et al. 2021, "Deep reinforcement learning at the edge of the statistical precipice", arXiv 2108.13264.

A run is one score on one task with one seed; :data:`Scores` are the runs of one method. Intervals are percentiles
over resamples that redraw the seeds within each task (a stratified bootstrap): they tell what other seeds might have
given on these tasks, and nothing about other tasks. With n seeds a redrawn mean has (n - 1) / n of the variance it
should have, so with few seeds the intervals are somewhat too narrow. Needs SciPy (the ``plots`` extra).

R resamples, N runs of all tasks, n and m runs of one task, P thresholds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rl_larnn.errors import UserError

#: Scores of one method: per task one value for each seed. To be pooled over tasks they must share a scale.
Scores = Mapping[str, Sequence[float]]

RESAMPLES = 2000

#: Share of the resamples that an interval holds.
LEVEL = 0.95

#: With fewer seeds on any task a bootstrap knows too few different draws to be trusted.
RELIABLE_SEEDS = 3


@dataclass(frozen=True)
class Estimate:
    """A number with its interval.

    :param fewest: seeds of the task that has the fewest of them
    :param most: seeds of the task that has the most
    """

    value: float
    low: float
    high: float
    fewest: int
    most: int

    @property
    def degenerate(self) -> bool:
        """No task has a second seed, so the interval is a point and nothing can be said about chance."""
        return self.most < 2

    @property
    def reliable(self) -> bool:
        """Every task has at least :data:`RELIABLE_SEEDS` seeds."""
        return self.fewest >= RELIABLE_SEEDS


@dataclass(frozen=True)
class Profile:
    """Fraction of runs above each threshold, with a band; arrays of shape (P,)."""

    fraction: np.ndarray
    low: np.ndarray
    high: np.ndarray


def interquartile_mean(runs: Sequence[float]) -> float:
    """Mean of the middle half of the runs: a quarter of them, rounded down, is left out at each end.

    Of fewer than four runs nothing is left out, and this is their mean.

    :raises UserError: if there is no run, or SciPy is missing
    """
    (ordered,) = _ordered({"": runs})
    return float(interquartile_means(ordered))


def interquartile_means(values: np.ndarray) -> np.ndarray:
    """As :func:`interquartile_mean`, over the last axis: (..., N) becomes (...)."""
    try:
        from scipy.stats import trim_mean
    except ImportError as error:
        raise UserError("statistics need scipy; pip install 'rl-larnn[plots]'") from error
    return trim_mean(values, 0.25, axis=-1)


def pooled_interquartile_mean(scores: Scores, seed: int = 0) -> Estimate:
    """The interquartile mean over the runs of all tasks; every run counts the same.

    :param seed: of the resampling
    :raises UserError: if a task has no run, or SciPy is missing
    """
    runs = _ordered(scores)
    drawn = np.concatenate(_redrawn(runs, np.random.default_rng(seed)), axis=1)  # (R, N)
    return _estimate(float(interquartile_means(np.concatenate(runs))), interquartile_means(drawn), runs)


def performance_profile(scores: Scores, thresholds: np.ndarray, seed: int = 0) -> Profile:
    """Which fraction of the runs of all tasks is above each threshold (equation 1 of the source, over runs).

    :param thresholds: (P,)
    :raises UserError: if a task has no run
    """
    runs = _ordered(scores)
    drawn = np.concatenate(_redrawn(runs, np.random.default_rng(seed)), axis=1)  # (R, N)
    bands = np.stack([_interval((drawn > threshold).mean(1)) for threshold in thresholds])  # (P, 2)
    pooled = np.concatenate(runs)
    return Profile((pooled > thresholds[:, None]).mean(1), bands[:, 0], bands[:, 1])


def probability_of_improvement(own: Scores, other: Scores, seed: int = 0) -> Estimate:
    """How probable it is that a run of the one beats a run of the other on the same task, averaged over their tasks.

    Per task this is the Mann-Whitney U statistic over the number of pairs; ties count half. Scores are compared within
    a task only, so they need no common scale.

    :raises UserError: if no task is in both, or one has no run
    """
    tasks = sorted(set(own) & set(other))
    if not tasks:
        raise UserError(f"expected a task in both, got {', '.join(own) or 'none'} and {', '.join(other) or 'none'}")
    runs, opponents = (_ordered({task: scores[task] for task in tasks}) for scores in (own, other))
    generator = np.random.default_rng(seed)
    drawn = zip(_redrawn(runs, generator), _redrawn(opponents, generator), strict=True)
    resampled = np.mean([_beats(x, y) for x, y in drawn], axis=0)  # (R,)
    value = np.mean([_beats(x, y) for x, y in zip(runs, opponents, strict=True)])
    return _estimate(float(value), resampled, [*runs, *opponents])


def _ordered(scores: Scores) -> list[np.ndarray]:
    """The runs of each task, in an order of their own: a shuffled table must give the very same interval."""
    empty = [task for task, runs in scores.items() if len(runs) == 0]
    if empty or not scores:
        raise UserError(f"expected at least one run of every task, got none of {', '.join(empty) or 'any task'}")
    return [np.sort(np.asarray(scores[task], dtype=float)) for task in sorted(scores)]


def _redrawn(runs: Sequence[np.ndarray], generator: np.random.Generator) -> list[np.ndarray]:
    """Per task as many runs as it has, drawn with replacement: (R, n)."""
    return [own[generator.integers(len(own), size=(RESAMPLES, len(own)))] for own in runs]


def _beats(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Share of the pairs that x (..., n) wins against y (..., m), ties half: (...)."""
    return 0.5 + 0.5 * np.sign(x[..., :, None] - y[..., None, :]).mean((-2, -1))


def _interval(resampled: np.ndarray) -> np.ndarray:
    """Both ends of the middle :data:`LEVEL` of the resamples (R,)."""
    return np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])


def _estimate(value: float, resampled: np.ndarray, runs: Sequence[np.ndarray]) -> Estimate:
    low, high = _interval(resampled)
    seeds = [len(own) for own in runs]
    return Estimate(value, float(low), float(high), min(seeds), max(seeds))

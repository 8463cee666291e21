"""The results of a suite as two tables: ``results.csv`` with a row per run, ``curves.csv`` with one per evaluation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from rl_larnn.errors import UserError

RESULTS = "results.csv"
CURVES = "curves.csv"

_ABOUT = "parameters git_revision versions machine error"


def _columns(words: str) -> dict[str, str]:
    """From ``column=field``, or ``column`` where the field has the same name, to the field of each column."""
    pairs = (word.partition("=") for word in words.split())
    return {column: field or column for column, _, field in pairs}


@dataclass(frozen=True)
class RunRecord:
    """One run of a suite, finished or failed.

    :param task: id of the environment or dataset
    :param method: a memory's name or ``module:Class``, a baseline, or behaviour cloning
    :param score: mean return over the last 10 % of the evaluations; on a dataset the normalised mean return of the last
        agent, 0 for random play and 100 for the expert; ``None`` if the run failed
    :param mean_return: of the run's final agent on fresh episodes
    :param steps: environment steps that were learned from; on a dataset updates
    :param steps_per_s: steps (updates) per second of training, evaluations left out
    :param parameters: trained numbers in the policy
    :param git_revision: of the code; empty where it is unknown
    :param versions: ``rl_larnn 0.1.0; torch 2.13.0; ...``
    :param machine: processor, cores and threads
    :param error: one line that says why the run failed; empty if it didn't
    :raises UserError: if there is neither a score nor an error or both, or a number is not finite
    """

    task: str
    method: str
    seed: int
    score: float | None
    mean_return: float | None
    steps: int
    steps_per_s: float | None
    parameters: int | None
    git_revision: str = ""
    versions: str = ""
    machine: str = ""
    error: str = ""

    COLUMNS: ClassVar[Mapping[str, str]] = _columns(
        f"task memory=method seed score kept=mean_return steps steps_per_s {_ABOUT}"
    )

    def __post_init__(self) -> None:
        if (self.score is None) != bool(self.error):
            raise UserError(f"expected either a score or an error, got {self.score} and {self.error!r}")
        _refuse_infinite(score=self.score, mean_return=self.mean_return, steps_per_s=self.steps_per_s)

    @property
    def key(self) -> tuple[Any, ...]:
        """What makes the run unique, and its place in the file."""
        return self.task, self.method, self.seed


@dataclass(frozen=True)
class DatasetRecord(RunRecord):
    """One run on a dataset.

    :param reset_return: mean return on the same episodes, the memory reset before every step
    """

    reset_return: float | None = None

    COLUMNS = _columns(
        "dataset=task contender=method seed score mean_return wiped=reset_return updates=steps "
        f"updates_per_s=steps_per_s {_ABOUT}"
    )


@dataclass(frozen=True)
class CurvePoint:
    """One evaluation during a run: the mean return after so many environment steps.

    :raises UserError: if the score is not finite
    """

    task: str
    method: str
    seed: int
    steps: int
    score: float

    COLUMNS: ClassVar[Mapping[str, str]] = _columns("task memory=method seed steps score")

    def __post_init__(self) -> None:
        _refuse_infinite(score=self.score)

    @property
    def key(self) -> tuple[Any, ...]:
        """What makes the evaluation unique, and its place in the file."""
        return self.task, self.method, self.seed, self.steps


def run_name(task: str, method: str, seed: int) -> str:
    """A run in words."""
    return f"{task}, {method}, seed {seed}"


def _refuse_infinite(**numbers: float | None) -> None:
    for name, number in numbers.items():
        if number is not None and not math.isfinite(number):
            raise UserError(f"expected a finite {name}, got {number}")

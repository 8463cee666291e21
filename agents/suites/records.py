"""The results of a suite as two tables: ``results.csv`` with a row per run, ``curves.csv`` with one per evaluation."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rl_larnn.agents.reporting.csv_rows import Row, read_rows, write_rows
from rl_larnn.errors import UserError

RESULTS = "results.csv"
CURVES = "curves.csv"


@dataclass(frozen=True)
class RunRecord:
    """One run of a suite, finished or failed.

    :param task: id of the environment
    :param memory: a memory's name or ``module:Class``, or one of the baselines
    :param score: mean return over the last 10 % of the evaluations; ``None`` if the run failed
    :param kept: mean return, on fresh episodes, of the agent that the run kept
    :param steps: environment steps that were learned from
    :param steps_per_s: environment steps per second of training, evaluations left out
    :param parameters: trained numbers in the policy
    :param git_revision: of the code; empty where it is unknown
    :param versions: ``rl_larnn 0.1.0; torch 2.13.0; ...``
    :param machine: processor, cores and threads
    :param error: one line that says why the run failed; empty if it didn't
    :raises UserError: if there is neither a score nor an error or both, or a number is not finite
    """

    task: str
    memory: str
    seed: int
    score: float | None
    kept: float | None
    steps: int
    steps_per_s: float | None
    parameters: int | None
    git_revision: str = ""
    versions: str = ""
    machine: str = ""
    error: str = ""

    def __post_init__(self) -> None:
        if (self.score is None) != bool(self.error):
            raise UserError(f"expected either a score or an error, got {self.score} and {self.error!r}")
        _refuse_infinite(score=self.score, kept=self.kept, steps_per_s=self.steps_per_s)

    @property
    def key(self) -> tuple[Any, ...]:
        """What makes the run unique, and its place in the file."""
        return self.task, self.memory, self.seed

    @property
    def name(self) -> str:
        """The run in words."""
        return f"{self.task}, {self.memory}, seed {self.seed}"


@dataclass(frozen=True)
class CurvePoint:
    """One evaluation during a run: the mean return after so many environment steps.

    :raises UserError: if the score is not finite
    """

    task: str
    memory: str
    seed: int
    steps: int
    score: float

    def __post_init__(self) -> None:
        _refuse_infinite(score=self.score)

    @property
    def key(self) -> tuple[Any, ...]:
        """What makes the evaluation unique, and its place in the file."""
        return self.task, self.memory, self.seed, self.steps


def write_results(path: Path, records: Iterable[RunRecord]) -> None:
    """Write the runs, sorted by task, memory and seed; the file is replaced whole or not at all.

    :raises UserError: if one run is there twice
    """
    write_rows(path, RunRecord, records)


def read_results(path: Path) -> list[RunRecord]:
    """The runs of a file, sorted.

    :raises UserError: if the file is missing or damaged, or holds one run twice
    """
    return read_rows(path, RunRecord)


def write_suite_curves(path: Path, points: Iterable[CurvePoint]) -> None:
    """Write the evaluations, sorted by task, memory, seed and steps; as :func:`write_results`."""
    write_rows(path, CurvePoint, points)


def read_suite_curves(path: Path) -> list[CurvePoint]:
    """The evaluations of a file, sorted; as :func:`read_results`."""
    return read_rows(path, CurvePoint)


def other_rows(path: Path, kind: type[Row], keys: Collection[tuple[Any, ...]]) -> list[Row]:
    """Rows of a table whose keys begin with none of these; nothing where there is no readable table yet."""
    try:
        rows = read_rows(path, kind)
    except UserError:
        return []
    return [row for row in rows if not any(row.key[: len(key)] == key for key in keys)]


def _refuse_infinite(**numbers: float | None) -> None:
    for name, number in numbers.items():
        if number is not None and not math.isfinite(number):
            raise UserError(f"expected a finite {name}, got {number}")

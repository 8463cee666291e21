"""The results of a suite as two tables: ``results.csv`` with a row per run, ``curves.csv`` with one per evaluation."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Collection, Iterable
from dataclasses import astuple, dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

from rl_larnn.errors import UserError
from rl_larnn.files import replacing

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


class Keyed(Protocol):
    """A dataclass of text and numbers, which says what tells its rows apart."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def key(self) -> tuple[Any, ...]: ...


Row = TypeVar("Row", bound=Keyed)


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


#: How the text of a cell becomes a value of the annotated type.
_PARSERS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "str": ("text", str),
    "int": ("a whole number", int),
    "float": ("a number", float),
    "int | None": ("a whole number or nothing", lambda text: int(text) if text else None),
    "float | None": ("a number or nothing", lambda text: float(text) if text else None),
}


def _refuse_infinite(**numbers: float | None) -> None:
    for name, number in numbers.items():
        if number is not None and not math.isfinite(number):
            raise UserError(f"expected a finite {name}, got {number}")


def _columns(kind: type[Row]) -> list[str]:
    return [field.name for field in fields(kind)]


def write_rows(path: Path, kind: type[Row], rows: Iterable[Row]) -> None:
    """Write a table, sorted by the rows' keys; the file is replaced whole or not at all.

    :param kind: the dataclass, whose fields are the columns
    :raises UserError: if one key is there twice
    """
    ordered = _unique(path, rows)
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_columns(kind))
        writer.writerows([_cell(value) for value in astuple(row)] for row in ordered)


def _cell(value: Any) -> Any:
    # One row per line, so that two files can be merged by hand.
    return " ".join(value.split()) if isinstance(value, str) else value


def read_rows(path: Path, kind: type[Row]) -> list[Row]:
    """The rows of such a table, sorted.

    :raises UserError: if the file is missing or damaged, or holds one key twice
    """
    columns = _columns(kind)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines = csv.reader(file, strict=True)
            found = next(lines, [])
            if found != columns:
                got = ", ".join(found) or "nothing"
                raise UserError(f"cannot read {path}: expected the columns {', '.join(columns)}, got {got}")
            # A file appended to another brings its header along.
            rows = [_parse(path, lines.line_num, kind, cells) for cells in lines if cells and cells != columns]
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: expected CSV in UTF-8, got a damaged file ({error})") from error
    return _unique(path, rows)


def _parse(path: Path, line: int, kind: type[Row], cells: list[str]) -> Row:
    place = f"{path}, line {line}"
    if len(cells) != len(fields(kind)):
        raise UserError(f"{place}: expected {len(fields(kind))} columns, got {len(cells)}")
    values = []
    for field, text in zip(fields(kind), cells, strict=True):
        expected, parse = _PARSERS[str(field.type)]
        try:
            values.append(parse(text))
        except ValueError as error:
            raise UserError(f"{place}, column {field.name}: expected {expected}, got {text!r}") from error
    try:
        return kind(*values)
    except UserError as error:
        raise UserError(f"{place}: {error}") from error


def _unique(path: Path, rows: Iterable[Row]) -> list[Row]:
    ordered = sorted(rows, key=lambda row: row.key)
    for row, following in pairwise(ordered):
        if row.key == following.key:
            raise UserError(f"{path}: expected one row for {', '.join(map(str, row.key))}, got two; remove one")
    return ordered

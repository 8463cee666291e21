"""Tables as CSV files, typed by a dataclass: each field is a column, each instance a row."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar, get_type_hints

from rl_larnn.errors import UserError
from rl_larnn.files import replacing

#: What a cell should hold, in words, and how its text becomes a value.
_Parser = tuple[str, Callable[[str], Any]]

_PARSERS: dict[Any, _Parser] = {
    str: ("text", str),
    int: ("a whole number", int),
    float: ("a number", float),
    int | None: ("a whole number or nothing", lambda text: int(text) if text else None),
    float | None: ("a number or nothing", lambda text: float(text) if text else None),
}


class Keyed(Protocol):
    """A dataclass of text and numbers whose rows are identified and sorted by a key."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def key(self) -> tuple[Any, ...]: ...


Row = TypeVar("Row", bound=Keyed)


def write_rows(path: Path, kind: type[Row], rows: Iterable[Row]) -> None:
    """Write a table, sorted by the rows' keys; the file is replaced whole or not at all.

    :param kind: the dataclass of the rows
    :raises UserError: if two rows have the same key
    """
    ordered = _sorted(path, rows)
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(kind.__dataclass_fields__)
        writer.writerows([_cell(value) for value in astuple(row)] for row in ordered)


def read_rows(path: Path, kind: type[Row]) -> list[Row]:
    """The rows of a table, sorted by their keys.

    :param kind: the dataclass of the rows
    :raises UserError: if the file is missing or damaged, or two rows have the same key
    """
    types = get_type_hints(kind)
    parsers = {column: _PARSERS[types[column]] for column in kind.__dataclass_fields__}
    columns = list(parsers)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines = csv.reader(file, strict=True)
            found = next(lines, [])
            if found != columns:
                got = ", ".join(found) or "nothing"
                raise UserError(f"cannot read {path}: expected the columns {', '.join(columns)}, got {got}")
            # Files that were concatenated repeat the header.
            rows = [
                _row(f"{path}, line {lines.line_num}", kind, parsers, cells)
                for cells in lines
                if cells not in ([], columns)
            ]
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: expected CSV in UTF-8, got a damaged file ({error})") from error
    return _sorted(path, rows)


def _cell(value: Any) -> Any:
    # One row per line, so that two files can be merged by hand.
    return " ".join(value.split()) if isinstance(value, str) else value


def _row(place: str, kind: type[Row], parsers: Mapping[str, _Parser], cells: Sequence[str]) -> Row:
    if len(cells) != len(parsers):
        raise UserError(f"{place}: expected {len(parsers)} columns, got {len(cells)}")
    values = []
    for (column, (expected, parse)), text in zip(parsers.items(), cells, strict=True):
        try:
            values.append(parse(text))
        except ValueError as error:
            raise UserError(f"{place}, column {column}: expected {expected}, got {text!r}") from error
    try:
        return kind(*values)
    except UserError as error:
        raise UserError(f"{place}: {error}") from error


def _sorted(path: Path, rows: Iterable[Row]) -> list[Row]:
    ordered = sorted(rows, key=lambda row: row.key)
    for row, following in pairwise(ordered):
        if row.key == following.key:
            raise UserError(f"{path}: expected one row for {', '.join(map(str, row.key))}, got two; remove one")
    return ordered

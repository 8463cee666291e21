"""Tables: as CSV files, typed by a dataclass (each field is a column, each instance a row), and in Markdown.

A dataclass whose columns have other names, or another order, than its fields has a class variable ``COLUMNS``: from
each column to its field.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING
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
    ordered, columns = _sorted(path, rows), _columns(kind)
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([_cell(getattr(row, field)) for field in columns.values()] for row in ordered)


def read_rows(path: Path, *kinds: type[Row]) -> list[Row]:
    """The rows of a table, sorted by their keys.

    Columns at the end whose fields have a default may be missing, as earlier revisions wrote fewer.

    :param kinds: dataclasses, of which the first that fits the header is taken
    :raises UserError: if the file is missing or damaged, or two rows have the same key
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines = csv.reader(file, strict=True)
            header = next(lines, [])
            kind = next((kind for kind in kinds if _fits(kind, header)), None)
            if kind is None:
                expected, got = ", ".join(_columns(kinds[0])), ", ".join(header) or "nothing"
                raise UserError(f"cannot read {path}: expected the columns {expected}, got {got}")
            columns, types = _columns(kind), get_type_hints(kind)
            parsers = {columns[column]: (column, *_PARSERS[types[columns[column]]]) for column in header}
            # Files that were concatenated repeat the header.
            whole = (cells for cells in lines if cells not in ([], header))
            rows = [_row(f"{path}, line {lines.line_num}", kind, parsers, cells) for cells in whole]
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: expected CSV in UTF-8, got a damaged file ({error})") from error
    return _sorted(path, rows)


def _columns(kind: type[Keyed]) -> Mapping[str, str]:
    return getattr(kind, "COLUMNS", {field: field for field in kind.__dataclass_fields__})


def _fits(kind: type[Keyed], header: Sequence[str]) -> bool:
    columns = list(_columns(kind).items())
    known, missing = columns[: len(header)], columns[len(header) :]
    defaults = (kind.__dataclass_fields__[field].default for _, field in missing)
    return [column for column, _ in known] == header and MISSING not in defaults


def _cell(value: Any) -> Any:
    # One row per line, so that two files can be merged by hand.
    return " ".join(value.split()) if isinstance(value, str) else value


def _row(place: str, kind: type[Row], parsers: Mapping[str, tuple[str, str, Callable]], cells: Sequence[str]) -> Row:
    if len(cells) != len(parsers):
        raise UserError(f"{place}: expected {len(parsers)} columns, got {len(cells)}")
    values = {}
    for (field, (column, expected, parse)), text in zip(parsers.items(), cells, strict=True):
        try:
            values[field] = parse(text)
        except ValueError as error:
            raise UserError(f"{place}, column {column}: expected {expected}, got {text!r}") from error
    try:
        return kind(**values)
    except UserError as error:
        raise UserError(f"{place}: {error}") from error


def _sorted(path: Path, rows: Iterable[Row]) -> list[Row]:
    ordered = sorted(rows, key=lambda row: row.key)
    for row, following in pairwise(ordered):
        if row.key == following.key:
            raise UserError(f"{path}: expected one row for {', '.join(map(str, row.key))}, got two; remove one")
    return ordered


def markdown_table(
    header: Sequence[str], rows: Iterable[Sequence[object]], text_columns: int | None = 1, missing: str = ""
) -> str:
    """A table in Markdown, without a line break at its end.

    :param header: the names of the columns
    :param rows: the cells; ``None`` is a missing one
    :param text_columns: this many columns, from the left, are text and aligned left, the others are numbers and aligned
        right; ``None``: all are text
    :param missing: what is written for a missing cell
    """
    text = len(header) if text_columns is None else text_columns
    rules = ["---"] * text + ["---:"] * (len(header) - text)
    return "\n".join(_line(cells, missing) for cells in (header, rules, *rows))


def _line(cells: Sequence[object], missing: str) -> str:
    """A vertical bar inside a cell would begin another cell."""
    texts = (missing if cell is None else str(cell).replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(texts)} |"

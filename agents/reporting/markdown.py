"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


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

"""The scores of memories as rows for tables, as plain data for programs, and as a picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rl_larnn.agents.probes.measure import Scores
from rl_larnn.agents.reporting.styles import figure_class, styles
from rl_larnn.agents.reporting.tables import markdown_table
from rl_larnn.agents.runs.results import versions
from rl_larnn.errors import UserError
from rl_larnn.files import replacing, write_json, write_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Digits of a score in a file: more would differ from one machine to the next.
DIGITS = 4


def rows(memories: Mapping[str, Scores]) -> tuple[list[str], list[list[str]]]:
    """Header and rows: one for each memory and its weights, one column for each probe."""
    lines = [(name, weights, own) for name, scores in memories.items() for weights, own in scores.items()]
    probes = list(dict.fromkeys(probe for *_, own in lines for probe in own))
    # The z writes a rounded -0 as 0.
    cells = [
        [name, weights, *(f"{own[probe]:z.2f}" if probe in own else "" for probe in probes)]
        for name, weights, own in lines
    ]
    return ["memory", "weights", *probes], cells


def markdown(memories: Mapping[str, Scores]) -> str:
    """:func:`rows` as a table in Markdown."""
    header, cells = rows(memories)
    return markdown_table(header, ([f"`{name}`", *rest] for name, *rest in cells), text_columns=2)


def to_json(memories: Mapping[str, Scores]) -> dict[str, Any]:
    """Plain data: the versions that decide what is measured, and per memory, weights and probe the score."""
    plain = {
        name: {
            weights: {probe: round(score, DIGITS) for probe, score in own.items()} for weights, own in scores.items()
        }
        for name, scores in memories.items()
    }
    return {"versions": versions(), "scores": plain}


def file_writer(path: Path) -> Callable[[Mapping[str, Scores]], None]:
    """A function that writes scores into a file: ``.json`` for plain data, ``.md`` for a table, else a picture.

    :raises UserError: if there is no such folder or format, or matplotlib is missing; all before anything is measured
    """
    if not path.absolute().parent.is_dir():
        raise UserError(f"cannot write {path}: there is no folder {path.parent}")
    if path.suffix == ".json":
        return lambda memories: write_json(path, to_json(memories))
    if path.suffix == ".md":
        return lambda memories: write_text(path, markdown(memories) + "\n")
    pictures = figure_class()().canvas.get_supported_filetypes()
    if path.suffix[1:] not in pictures:
        raise UserError(f"cannot write {path}: its name should end in .json, .md or one of {', '.join(pictures)}")
    return lambda memories: draw(memories, path)


def draw(memories: Mapping[str, Scores], path: Path) -> None:
    """A bar per memory and probe, above for untrained weights and below for fitted ones. Needs matplotlib.

    :param path: file to write; its suffix decides the format
    """
    kinds = list(dict.fromkeys(weights for scores in memories.values() for weights in scores))
    figure = figure_class()(figsize=(12, 0.9 + 2.6 * len(kinds)), layout="constrained")
    for axes, weights in zip(figure.subplots(len(kinds), squeeze=False).ravel(), kinds, strict=True):
        _draw_bars(axes, {name: scores.get(weights, {}) for name, scores in memories.items()})
        axes.set_title(weights, fontsize=10)
    figure.supylabel("score (0: chance, 1: all of it)", fontsize=10)
    handles, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=min(4, len(names)), frameon=False, fontsize=9)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110, format=path.suffix[1:])


def _draw_bars(axes: Axes, scores: Mapping[str, Mapping[str, float]]) -> None:
    probes = list(dict.fromkeys(probe for own in scores.values() for probe in own))
    width = 0.8 / len(scores)
    for place, (name, look) in enumerate(styles(list(scores)).items()):
        at = np.arange(len(probes)) + (place - (len(scores) - 1) / 2) * width
        heights = [scores[name].get(probe, np.nan) for probe in probes]
        # Markers, for readers who cannot tell the colours apart.
        axes.bar(at, heights, width, color=look["color"], alpha=0.6)
        axes.plot(at, heights, linestyle="", marker=look["marker"], color=look["color"], markersize=4, label=name)
    axes.set_xticks(range(len(probes)), probes)
    axes.set_ylim(-0.05, 1.05)
    axes.set_xlim(-0.5, len(probes) - 0.5)
    for bound in (0, 1):
        axes.axhline(bound, color="0.25", linewidth=0.8)

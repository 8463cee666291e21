"""How each method is drawn: the same in every picture, and told apart without colours too.

Ours have a colour, a solid line and a marker of their own, baselines are grey or black with a dash of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rl_larnn.errors import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Colour, line and marker of each method; colours are Okabe and Ito's, told apart by colour-blind readers too.
_STYLES: dict[str, tuple[str, Any, str]] = {
    "larnn": ("#D55E00", "-", "o"),
    "aaren": ("#0072B2", "-", "s"),
    "lstm": ("#009E73", "-", "^"),
    "gru": ("#E69F00", "-", "D"),
    "elman": ("#CC79A7", "-", "v"),
    "transformer": ("#56B4E9", "-", "P"),
    "none": ("#7A4A1E", "-", "x"),
    "contrib-lstm": ("0.0", (0, (5, 2)), ""),
    "ppo-16-frames": ("0.35", (0, (5, 1.5, 1, 1.5)), ""),
    "ppo-4-frames": ("0.5", (0, (2.5, 1.5)), ""),
    "ppo": ("0.5", (0, (1, 1.2)), ""),
}

#: For memories that are not in the table above, in alphabetical order; after the last one they begin anew.
_FURTHER = [("#6A3D9A", "-", "*"), ("#8C8C00", "-", "p"), ("#A6192E", "-", "h"), ("#000075", "-", "X")]


def styles(methods: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Per method the keywords that make matplotlib draw its line."""
    further = iter(_FURTHER * len(methods))
    found = {name: _STYLES[name] if name in _STYLES else next(further) for name in methods}
    return {
        name: {"color": colour, "linestyle": line, "marker": marker, "markersize": 4.5, "linewidth": 1.4}
        for name, (colour, line, marker) in found.items()
    }


#: Endings of pictures that matplotlib writes everywhere.
PICTURES = (".png", ".pdf", ".svg")


def check_picture(path: Path) -> None:
    """:raises UserError: unless the name ends as a picture's does."""
    if path.suffix.lower() not in PICTURES:
        raise UserError(f"expected the name of a picture, ending in {', '.join(PICTURES)}, got {path}")


def figure_class() -> type[Figure]:
    """Matplotlib's figure, which needs no display.

    :raises UserError: if matplotlib is missing
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UserError("plots need matplotlib; pip install 'rl-larnn[plots]'") from error
    return Figure

"""How each method is drawn: the same in every picture, and distinct without colours too.

Memories have a colour, a solid line and a marker of their own, baselines are grey or black with a dash of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rl_larnn.errors import UserError
from rl_larnn.memories import MEMORIES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Colour and marker of each memory, in the order of the table of memories, and of others after them; colours of the
#: first seven are Okabe and Ito's, told apart by colour-blind readers too. After the last one they begin anew.
_MEMORIES = [
    ("#7A4A1E", "x"),
    ("#CC79A7", "v"),
    ("#E69F00", "D"),
    ("#009E73", "^"),
    ("#D55E00", "o"),
    ("#0072B2", "s"),
    ("#56B4E9", "P"),
    ("#6A3D9A", "*"),
    ("#8C8C00", "p"),
    ("#A6192E", "h"),
    ("#000075", "X"),
    ("#117733", "<"),
    ("#882255", ">"),
    ("#44AA99", "d"),
    ("#C9A800", "H"),
]

#: Grey and dash of each baseline that is trained in an environment.
_BASELINES: dict[str, tuple[str, Any]] = {
    "contrib-lstm": ("0.0", (0, (5, 2))),
    "ppo-16-frames": ("0.35", (0, (5, 1.5, 1, 1.5))),
    "ppo-4-frames": ("0.5", (0, (2.5, 1.5))),
    "ppo": ("0.5", (0, (1, 1.2))),
}


def styles(methods: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Per method the keywords that make matplotlib draw its line."""
    names = [*MEMORIES, *(name for name in methods if name not in MEMORIES and name not in _BASELINES)]
    memories = dict(zip(names, cycle(_MEMORIES), strict=False))
    found = {}
    for name in methods:
        colour, line = _BASELINES[name] if name in _BASELINES else (memories[name][0], "-")
        marker = "" if name in _BASELINES else memories[name][1]
        found[name] = {"color": colour, "linestyle": line, "marker": marker, "markersize": 4.5, "linewidth": 1.4}
    return found


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

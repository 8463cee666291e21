"""The checkpoint of a run: a folder that can be loaded at every instant, also in the middle of its replacement."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rl_larnn.agents.runs.folder import refuse_no_folder
from rl_larnn.errors import UserError
from rl_larnn.files import replace_folder

STATE = "state.json"

#: Seconds after which a checkpoint is due, however little was done.
CHECKPOINT_SECONDS = 60.0


def replace_checkpoint(run: Path, write: Callable[[Path], None]) -> Path:
    """:func:`replace_folder` for the checkpoint."""
    return replace_folder(run, "checkpoint", write)


def _places(run: Path) -> tuple[Path, Path]:
    """Where the newest whole checkpoint is: the second only where a kill left no other."""
    return run / "checkpoint", run / "checkpoint.old"


def has_checkpoint(run: Path) -> bool:
    """Whether there is something to go on from."""
    return any(folder.is_dir() for folder in _places(run))


def find_checkpoint(run: Path) -> Path:
    """The folder of the newest whole checkpoint of a run.

    :raises UserError: if there is none
    """
    refuse_no_folder(run)
    for folder in _places(run):
        if folder.is_dir():
            return folder
    raise UserError(f"expected a run folder with a checkpoint, got {run}, which has none")

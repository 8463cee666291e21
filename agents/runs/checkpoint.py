"""Folders that can be loaded at every instant, also in the middle of their replacement: the checkpoint of a run.

checkpoint.new  is written and synced        checkpoint loadable
checkpoint      becomes checkpoint.old       checkpoint.old loadable
checkpoint.new  becomes checkpoint           both loadable
checkpoint.old  is removed                   checkpoint loadable
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from rl_larnn.errors import UserError
from rl_larnn.agents.runs.folder import refuse_no_folder, sync

STATE = "state.json"


def replace_checkpoint(run: Path, write: Callable[[Path], None]) -> Path:
    """:func:`replace_folder` for the checkpoint."""
    return replace_folder(run, "checkpoint", write)


def replace_folder(run: Path, name: str, write: Callable[[Path], None]) -> Path:
    """Write a new folder and put it in the place of the old one.

    :param run: the run folder
    :param name: of the folder within
    :param write: fills the empty folder that it is given
    :return: the new folder in its place
    """
    current, new, old = (run / f"{name}{suffix}" for suffix in ("", ".new", ".old"))
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    write(new)
    for path in [*new.iterdir(), new]:
        sync(path)
    # Where a kill left only the old one, it stays until the new one is in place.
    if current.exists():
        shutil.rmtree(old, ignore_errors=True)
        os.replace(current, old)
    os.replace(new, current)
    sync(run)
    shutil.rmtree(old, ignore_errors=True)
    return current


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

"""Run folders: their names, and files that are either whole or not there.

A run folder holds ``config.json``, ``progress.csv``, TensorBoard events, ``checkpoint/`` and, when training is over,
``model.zip``, ``vecnormalize.pkl`` and ``result.json``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from rl_larnn.errors import UserError

CONFIG = "config.json"
RESULT = "result.json"
MODEL = "model.zip"
NORMALIZATION = "vecnormalize.pkl"
_LOCK = ".lock"

#: The key of ``config.json`` under which a run that was trained on a dataset says so.
OFFLINE = "offline"


def default_folders(env_id: str, memory: str, seed: int) -> Iterator[Path]:
    """``runs/<env id>/<memory>-s<seed>``, then the same with ``-2``, ``-3`` and so on behind."""
    base = Path("runs") / env_id.replace("/", "-").replace(":", "-") / f"{memory}-s{seed}"
    yield base
    for number in count(2):
        yield base.with_name(f"{base.name}-{number}")


def refuse_existing(folder: Path) -> None:
    """:raises UserError: if the folder exists; a run is never written over another."""
    if folder.is_dir():
        raise UserError(
            f"the run folder {folder} exists already: pass --resume {folder} to continue it, or another name"
        )
    if folder.exists():
        raise UserError(f"expected the name of a new run folder, got {folder}, which is a file")


def refuse_no_folder(folder: Path) -> None:
    """:raises UserError: unless there is such a folder."""
    if not folder.is_dir():
        raise UserError(
            f"expected a run folder, got {folder}, which {'is a file' if folder.exists() else 'does not exist'}"
        )


def create_folder(folder: Path | None, env_id: str, memory: str, seed: int) -> Path:
    """Create the asked-for folder, or the first free one of :func:`default_folders`.

    :raises UserError: if the asked-for folder exists or cannot be created
    """
    candidates = iter([folder]) if folder is not None else default_folders(env_id, memory, seed)
    for candidate in candidates:
        try:
            candidate.mkdir(parents=True)
            return candidate
        except FileExistsError:
            if folder is not None:
                refuse_existing(folder)
        except OSError as error:
            raise UserError(f"cannot create the run folder {candidate}: {error.strerror or error}") from error
    raise UserError(f"cannot create the run folder {folder}: a part of its path is a file")


def sync(path: Path) -> None:
    """Wait until a file, or the list of names in a folder, has reached the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file under a temporary name beside it; at the end it takes the name, or it never does."""
    temporary = path.with_name(f".{path.name}.new")
    try:
        yield temporary
        sync(temporary)
        os.replace(temporary, path)
        sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write a JSON file whole or not at all."""
    text = json.dumps(data, indent=2, allow_nan=False)
    with replacing(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def reopen(folder: Path, unit: str, done: int, total: int, before: int) -> None:
    """Make a finished run unfinished again: what it left is of fewer steps than it will have; its checkpoint stays.

    :param unit: what is counted, as the result calls it: ``steps`` or ``updates``
    :param done: what the checkpoint has learned from
    :param total: what is asked for
    :param before: what was asked for until now
    :raises UserError: if nothing is left to do, or less is asked for than is done; a run that has done all but has no
        result was cut off in its final evaluation, which is left
    """
    evaluated = (folder / RESULT).exists()
    if total < min(done, before) and not evaluated:
        raise UserError(
            f"the run {folder} has done {done} {unit} already, got {total}: leave it out to go on to {before}"
        )
    if done >= total and not evaluated:
        return
    if done >= total and read_json(folder / RESULT, "the result of a run")[unit] == done:
        raise UserError(
            f"the run {folder} is finished: {done} {unit} of {total}; to train it longer, ask for more, "
            f"such as -n {2 * max(done, total)}"
        )
    for name in (RESULT, MODEL, NORMALIZATION):
        (folder / name).unlink(missing_ok=True)


@contextmanager
def locked(path: Path, busy: str) -> Iterator[None]:
    """Whatever a file stands for, to oneself.

    :raises UserError: saying so, if another process has it
    """
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise UserError(busy) from error
    except NotImplementedError:
        pass  # a file system that knows no locks
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # while nobody else can have it
        lock.release()


@contextmanager
def training_alone(folder: Path) -> Iterator[None]:
    """A run folder to oneself: two that train it would remove each other's checkpoints.

    :raises UserError: if another process trains it
    """
    with locked(folder / _LOCK, f"another process is training the run {folder}: wait for it, or stop it"):
        yield


def read_json(path: Path, what: str) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    :param what: what the file should be, for the message
    :raises UserError: if it is missing, truncated or something else
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {path}: expected {what}, got {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"cannot read {path}: expected {what}, got a truncated or foreign file ({error})") from error
    if not isinstance(data, dict):
        raise UserError(f"cannot read {path}: expected {what}, got a JSON {type(data).__name__}")
    return data


def was_offline(folder: str | Path) -> bool:
    """Whether the run in this folder was trained on a dataset.

    :raises UserError: if there is no run there
    """
    return OFFLINE in read_json(Path(folder) / CONFIG, "the settings of a run")

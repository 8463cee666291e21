"""Files and folders that are either whole or not there, and locks. Imports nothing of ours but errors."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from rl_larnn.errors import UserError


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


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write a JSON file whole or not at all."""
    write_text(path, json.dumps(data, indent=2, allow_nan=False) + "\n")


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


@contextmanager
def locked(path: Path, busy: str) -> Iterator[None]:
    """Hold an exclusive lock on what a file stands for.

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
def creating_folder(path: Path) -> Iterator[Path]:
    """Fill a new folder under a hidden name beside it; at the end it takes the name, or it never does.

    :raises OSError: if it cannot be written, or the name is taken
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        yield temporary
        os.rename(temporary, path)
        sync(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def replace_folder(parent: Path, name: str, write: Callable[[Path], None]) -> Path:
    """Write a new folder and put it in the place of the old one.

    NAME.new  is written and synced      NAME loadable
    NAME      becomes NAME.old           NAME.old loadable
    NAME.new  becomes NAME               both loadable
    NAME.old  is removed                 NAME loadable

    :param parent: where it lies
    :param name: of the folder within
    :param write: fills the empty folder that it is given
    :return: the new folder in its place
    """
    current, new, old = (parent / f"{name}{suffix}" for suffix in ("", ".new", ".old"))
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    try:
        write(new)
        for path in [*new.iterdir(), new]:
            sync(path)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    # Where a kill left only the old one, it stays until the new one is in place.
    if current.exists():
        shutil.rmtree(old, ignore_errors=True)
        os.replace(current, old)
    os.replace(new, current)
    sync(parent)
    shutil.rmtree(old, ignore_errors=True)
    return current

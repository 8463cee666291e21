"""Datasets as memory-mapped files: read from the source once, opened in no time, and only the pages in use in memory.

A folder holds each column as ``<column>.npy`` and all else in ``dataset.json``. It is written under another name first,
so it is whole or not there, and knows the size and age of what it was made from, so it is never out of date.
"""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rl_larnn.envs.datasets.columns import Columns
from rl_larnn.envs.datasets.dataset import Dataset
from rl_larnn.envs.datasets.errors import DatasetError, require
from rl_larnn.envs.datasets.loading import is_file, load_dataset, resolve_dataset
from rl_larnn.envs.datasets.minari_store import dataset_folder
from rl_larnn.envs.datasets.readers.d4rl import step_limit
from rl_larnn.envs.datasets.scores import References
from rl_larnn.errors import one_line

_FORMAT = 2
_TEXT = "dataset.json"


def load_cached(
    name_or_path: str | Path,
    folder: str | Path | None = None,
    download: bool = False,
    max_episode_steps: int | None = None,
) -> Dataset:
    """``load_dataset``, through a memory-mapped copy that is made on the first call and after every change.

    Args:
        name_or_path: see ``load_dataset``.
        folder: of the copy; None: ``columns`` in the folder of the Minari dataset, so that it goes when that goes, or
            ``<file>.columns`` beside the file.
        download: see ``load_dataset``.
        max_episode_steps: see ``load_dataset``.

    Returns:
        The copy; the data in memory where its own place cannot be written to.

    Raises:
        DatasetError: see ``load_dataset``; and where a folder was named in which the copy cannot be written.
    """
    file = is_file(name_or_path)
    name = str(name_or_path) if file else resolve_dataset(str(name_or_path), download)
    limit = step_limit(name, max_episode_steps) if file else None
    default, source = _places(name)
    place = default if folder is None else Path(folder)
    key = _key(source, limit)
    if key is not None:
        try:
            return replace(open_dataset(place, key), name=name)
        except DatasetError:
            pass  # not there, of an older source, or cut short: it is only a copy
    dataset = load_dataset(name, download, limit)
    key = _key(source, limit)
    try:
        save_dataset(dataset, place, key)
    except DatasetError:
        if folder is not None:
            raise
        return dataset
    try:
        return open_dataset(place, key)
    except DatasetError:
        return dataset  # another process is putting its own copy in this place


def save_dataset(dataset: Dataset, folder: str | Path, key: Any = None) -> None:
    """Writes a dataset into a folder, in the place of what is there.

    Args:
        dataset: what to write.
        folder: of the copy; its parent is made if need be.
        key: plain data that ``open_dataset`` may ask for.

    Raises:
        DatasetError: it cannot be written there, or the folder holds something else.
    """
    folder = Path(folder)
    if folder.exists() and not (folder / _TEXT).exists():
        raise DatasetError(f"{folder} exists and is no copy of a dataset: pass another folder")
    new, old = (folder.with_name(f".{folder.name}.{os.getpid()}.{word}") for word in ("new", "old"))
    try:
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        for name in dataset.columns.names:
            np.save(new / f"{name}.npy", getattr(dataset.columns, name))
        (new / _TEXT).write_text(json.dumps(_describe(dataset, key)), encoding="utf-8")
        _swap(folder, new, old)
    except OSError as error:
        raise DatasetError(
            f"cannot write a copy of {dataset.name} to {folder} ({error.strerror or error}): pass another folder"
        ) from error
    finally:
        shutil.rmtree(new, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _swap(folder: Path, new: Path, old: Path) -> None:
    """Puts the new folder in its place. Where another process has just done so, its copy is as good."""
    try:
        if folder.exists():
            os.rename(folder, old)
        os.rename(new, folder)
    except OSError:
        if not (folder / _TEXT).exists():
            raise


def open_dataset(folder: str | Path, key: Any = None) -> Dataset:
    """Opens what ``save_dataset`` wrote; the columns stay on the disk until they are read.

    Args:
        folder: of the copy.
        key: None, or what it must have been written with.

    Raises:
        DatasetError: there is no copy, it is damaged, or it has another key.
    """
    folder = Path(folder)
    try:
        text = json.loads((folder / _TEXT).read_text(encoding="utf-8"))
        if text["format"] != _FORMAT or key not in (None, text["key"]):
            raise DatasetError(f"{folder}: the copy is of another source, or of another release")
        columns = Columns(**{name: _column(folder, name) for name in text["columns"]})
        restore = require("minari.serialization").deserialize_space
        references = text["references"]
        return Dataset(
            columns=columns,
            observation_space=restore(text["observation_space"]),
            action_space=restore(text["action_space"]),
            references=None if references is None else References(*references),
            **text["attributes"],
        )
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        if isinstance(error, DatasetError):
            raise
        raise DatasetError(f"{folder}: expected a whole copy of a dataset, got {one_line(error)}") from error


def _column(folder: Path, name: str) -> np.ndarray:
    mapped: np.ndarray = np.load(folder / f"{name}.npy", mmap_mode="r")
    return mapped.view(np.ndarray)  # still on the disk; arrays of the class memmap are slower to slice


def _describe(dataset: Dataset, key: Any) -> dict[str, Any]:
    write = require("minari.serialization").serialize_space
    return {
        "format": _FORMAT,
        "key": key,
        "columns": dataset.columns.names,
        "observation_space": write(dataset.observation_space),
        "action_space": write(dataset.action_space),
        "references": dataset.references,
        "attributes": {
            "name": dataset.name,
            "env_id": dataset.env_id,
            "env_kwargs": dict(dataset.env_kwargs),
            "metadata": dict(dataset.metadata),
        },
    }


def _places(name: str) -> tuple[Path, Path]:
    """Where the copy of a dataset goes by itself, and the file or folder that changes when the dataset does."""
    if is_file(name):
        path = Path(name).resolve()
        return path.with_name(f"{path.name}.columns"), path
    folder = dataset_folder(name)
    return folder / "columns", folder / "data"


def _key(source: Path, limit: int | None) -> list[Any] | None:
    """What tells one state of the source from another, or None where there is none yet."""
    files = sorted(source.rglob("*")) if source.is_dir() else [source]
    files = [file for file in files if file.is_file()]
    if not files:
        return None
    stats = [file.stat() for file in files]
    return [str(source), limit, sum(stat.st_size for stat in stats), max(stat.st_mtime_ns for stat in stats)]

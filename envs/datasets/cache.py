"""Datasets as memory-mapped files: the source is read once, and only the pages in use are in memory.

A folder holds each column as ``<column>.npy`` and all else in ``dataset.json``. It also keeps the size and the time of
change of the source, so a copy that is out of date is recognised.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rl_larnn.envs.datasets.columns import Columns
from rl_larnn.envs.datasets.dataset import Dataset
from rl_larnn.envs.datasets.errors import DatasetError, import_optional
from rl_larnn.envs.datasets.readers import Source, find_source
from rl_larnn.envs.datasets.scores import References
from rl_larnn.errors import UserError, one_line
from rl_larnn.files import locked, replace_folder

_FORMAT = 2
_TEXT = "dataset.json"


def load_cached(
    name_or_path: str | Path,
    folder: str | Path | None = None,
    download: bool = False,
    max_episode_steps: int | None = None,
) -> Dataset:
    """``load_dataset`` through a memory-mapped copy, which is made on the first call and after every change.

    :param name_or_path: see ``load_dataset``
    :param folder: of the copy; None: ``columns`` in the folder of the Minari dataset, or ``<file>.columns`` beside the
        file
    :param download: see ``load_dataset``
    :param max_episode_steps: see ``load_dataset``
    :return: the copy; the data in memory where the default folder cannot be written
    :raises DatasetError: see ``load_dataset``; or ``folder`` was given and cannot be written
    """
    source = find_source(name_or_path, download, max_episode_steps)
    place = source.copy if folder is None else Path(folder)
    key = _key(source)
    if key is not None:
        try:
            return replace(open_dataset(place, key), name=source.name)
        except DatasetError:
            pass  # missing, damaged or out of date: the source is read instead
    dataset = source.read()
    key = _key(source)
    try:
        save_dataset(dataset, place, key)
    except DatasetError:
        if folder is not None:
            raise
        return dataset
    try:
        return open_dataset(place, key)
    except DatasetError:
        return dataset  # another process is writing its own copy here


def save_dataset(dataset: Dataset, folder: str | Path, key: Any = None) -> None:
    """Write a dataset into a folder, whole or not at all, in the place of an earlier copy.

    Does nothing while another process writes a copy into the same folder.

    :param dataset: what to write
    :param folder: of the copy; missing parents are made
    :param key: plain data that ``open_dataset`` can compare
    :raises DatasetError: the folder cannot be written, or holds something else
    """
    folder = Path(folder)
    if folder.exists() and not (folder / _TEXT).exists():
        raise DatasetError(f"{folder} exists and is no copy of a dataset: pass another folder")
    text = json.dumps(_describe(dataset, key))

    def write(new: Path) -> None:
        for name in dataset.columns.names:
            np.save(new / f"{name}.npy", getattr(dataset.columns, name))
        (new / _TEXT).write_text(text, encoding="utf-8")

    try:
        with locked(folder.with_name(f".{folder.name}.lock"), "another process writes this copy"):
            replace_folder(folder.parent, folder.name, write)
    except OSError as error:
        raise DatasetError(
            f"cannot write a copy of {dataset.name} to {folder} ({error.strerror or error}): pass another folder"
        ) from error
    except UserError:
        pass  # locked: the other process's copy is as good


def open_dataset(folder: str | Path, key: Any = None) -> Dataset:
    """Open what ``save_dataset`` wrote. The columns stay on the disk until they are read.

    :param folder: of the copy
    :param key: the key that it must have been written with; None: any
    :raises DatasetError: there is no copy, it is damaged, or it has another key
    """
    folder = Path(folder)
    try:
        text = json.loads((folder / _TEXT).read_text(encoding="utf-8"))
        if text["format"] != _FORMAT or key not in (None, text["key"]):
            raise DatasetError(f"{folder}: the copy is of another source, or of another release")
        columns = Columns(**{name: _column(folder, name) for name in text["columns"]})
        restore = import_optional("minari.serialization").deserialize_space
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
    write = import_optional("minari.serialization").serialize_space
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


def _key(source: Source) -> list[Any] | None:
    """Return what changes when the source does, or None where the source is missing."""
    files = sorted(source.data.rglob("*")) if source.data.is_dir() else [source.data]
    stats = [file.stat() for file in files if file.is_file()]
    if not stats:
        return None
    size, changed = sum(stat.st_size for stat in stats), max(stat.st_mtime_ns for stat in stats)
    return [str(source.data), source.max_episode_steps, size, changed]

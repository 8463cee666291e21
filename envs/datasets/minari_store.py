"""Minari's local store: where it is, what is in it, and the ids by which its datasets go.

The store is the folder in ``MINARI_DATASETS_PATH``, else ``~/.minari/datasets``.
"""

import warnings
from pathlib import Path

from rl_larnn.envs.datasets.errors import DatasetError, require

RECORD = "rl_larnn"
"""In the metadata of a dataset, what this library says of it."""


def local_ids() -> list[str]:
    """The ids of all local datasets."""
    minari = require("minari")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about folders that hold no dataset
        return list(minari.list_local_datasets())


def dataset_folder(dataset_id: str) -> Path:
    """Where the store keeps, or would keep, a dataset."""
    return Path(require("minari.storage.datasets_root_dir").get_dataset_path(dataset_id))


def parse_id(dataset_id: str) -> tuple[str | None, str, int | None]:
    """Namespace, name and version of ``namespace/name-v0``; the first and the last may be missing.

    :raises DatasetError: it has another form
    """
    match = require("minari.dataset.minari_dataset").DATASET_ID_RE.fullmatch(dataset_id)
    if match is None:
        raise DatasetError(
            f"expected a dataset id such as CartPole-POMDP/expert-v0 (letters, digits, - and _), got {dataset_id!r}"
        )
    namespace, name, version = match.group("namespace", "dataset", "version")
    return namespace, name, None if version is None else int(version)


def refuse_existing(dataset_id: str) -> None:
    """Checks that an id can be written to.

    :raises DatasetError: it is none, or something has it already; with the next free one
    """
    namespace, name, version = parse_id(dataset_id)
    if version is None:
        raise DatasetError(f"expected a dataset id with a version, such as {dataset_id}-v0, got {dataset_id!r}")
    if dataset_folder(dataset_id).exists():
        stem = f"{namespace}/{name}" if namespace else name
        free = next(v for v in range(version + 1, 10**6) if not dataset_folder(f"{stem}-v{v}").exists())
        raise DatasetError(
            f"the dataset {dataset_id} exists already and is never overwritten: use it, take the name {name}-v{free}, "
            f"or remove it with: minari delete {dataset_id}"
        )

"""Minari's local store of datasets, and their ids.

The store is the folder in ``MINARI_DATASETS_PATH``, else ``~/.minari/datasets``.
"""

import warnings
from pathlib import Path

from rl_larnn.envs.datasets.errors import DatasetError, import_optional

RECORD = "rl_larnn"
"""Key in the metadata of a Minari dataset under which this library keeps its own data."""


def local_ids() -> list[str]:
    """Return the ids of all local datasets."""
    minari = import_optional("minari")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about folders that hold no dataset
        return list(minari.list_local_datasets())


def dataset_folder(dataset_id: str) -> Path:
    """Return the folder of a dataset in the store, existing or not."""
    return Path(import_optional("minari.storage.datasets_root_dir").get_dataset_path(dataset_id))


def parse_id(dataset_id: str) -> tuple[str | None, str, int | None]:
    """Return namespace, name and version of ``namespace/name-v0``; the first and the last may be missing.

    :raises DatasetError: it has another form
    """
    match = import_optional("minari.dataset.minari_dataset").DATASET_ID_RE.fullmatch(dataset_id)
    if match is None:
        raise DatasetError(
            f"expected a dataset id such as CartPole-POMDP/expert-v0 (letters, digits, - and _), got {dataset_id!r}"
        )
    namespace, name, version = match.group("namespace", "dataset", "version")
    return namespace, name, None if version is None else int(version)


def refuse_taken_id(dataset_id: str) -> None:
    """Check that an id is complete and free.

    :raises DatasetError: it is not; with the next free id
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

"""From what a person types to a dataset: a Minari id, with or without its version, or the path of a D4RL file."""

from difflib import get_close_matches
from pathlib import Path

from rl_larnn.envs.datasets.dataset import Dataset
from rl_larnn.envs.datasets.errors import DatasetError
from rl_larnn.envs.datasets.minari_store import dataset_folder, local_ids, parse_id
from rl_larnn.envs.datasets.readers.d4rl import load_d4rl
from rl_larnn.envs.datasets.readers.minari import read_minari
from rl_larnn.envs.datasets.scores import d4rl_locomotion
from rl_larnn.envs.ids import UnknownEnvironmentError, resolve_id

_SUFFIXES = (".hdf5", ".h5")


def load_dataset(name_or_path: str | Path, download: bool = False, max_episode_steps: int | None = None) -> Dataset:
    """Reads a dataset into memory. For one that is too large, or read often, see ``load_cached``.

    Args:
        name_or_path: a Minari id, whose newest local version is meant if it has none; or the path of a D4RL file,
            which is told by its ending, ``.hdf5`` or ``.h5``, or by being a file.
        download: fetch a Minari dataset that is not in the local store. Without it nothing touches the network.
        max_episode_steps: of a file without timeouts, see ``load_d4rl``.

    Raises:
        DatasetError: nothing of that name is there (with the nearest names, and how to get it), or it is damaged.
    """
    if is_file(name_or_path):
        return load_d4rl(name_or_path, max_episode_steps=max_episode_steps)
    return read_minari(resolve_dataset(str(name_or_path), download), download)


def is_file(name_or_path: str | Path) -> bool:
    """Whether a file is meant, existing or not, rather than a Minari id."""
    path = Path(name_or_path)
    return path.suffix.lower() in _SUFFIXES or path.is_file()


def resolve_dataset(name: str, download: bool = False) -> str:
    """The complete id of the Minari dataset meant by ``name``.

    Raises:
        DatasetError: it is not in the local store and may not be downloaded, or cannot be without a version.
    """
    namespace, _, version = parse_id(name)
    local = local_ids()
    if version is not None:
        if download or name in local or dataset_folder(name).exists():
            return name
        raise _unknown(name, namespace, local)
    versions = [(parse_id(known)[2] or 0, known) for known in local if known.rpartition("-v")[0] == name]
    if not versions:
        versions = _damaged(name)
    if not versions and download:
        raise DatasetError(f"expected a dataset id with its version to download it, such as {name}-v0, got {name!r}")
    if not versions:
        raise _unknown(name, namespace, local)
    return max(versions)[1]


def _damaged(name: str) -> list[tuple[int, str]]:
    """Versions that are in the store and in no list of Minari's; whoever reads them says what is wrong with them."""
    folder = dataset_folder(name)
    numbers = [other.name.removeprefix(f"{folder.name}-v") for other in folder.parent.glob(f"{folder.name}-v*")]
    return [(int(number), f"{name}-v{number}") for number in numbers if number.isdecimal()]


def _unknown(name: str, namespace: str | None, local: list[str]) -> DatasetError:
    """One line with the nearest names and the ways to get the dataset."""
    if d4rl_locomotion(name) is not None:
        return DatasetError(f"{name!r} is a dataset of D4RL: pass the path of its file, such as data/{name}.hdf5")
    folder = dataset_folder("")
    forms = {known.casefold(): known for known in local}
    nearest = [forms[match] for match in get_close_matches(name.casefold(), forms, n=3, cutoff=0.5)]
    if nearest:
        hint = f"the nearest names in {folder} are {', '.join(nearest)}"
    else:
        hint = f"{folder} holds {', '.join(local[:5]) + (' ...' if len(local) > 5 else '') if local else 'no datasets'}"
    env = namespace if namespace and _is_environment(namespace) else "ENV"
    return DatasetError(
        f"unknown dataset {name!r}; {hint}; collect one with: python scripts/collect_dataset.py --env {env}, or "
        "download one of Minari's own by asking for it (download=True, --download)"
    )


def _is_environment(name: str) -> bool:
    try:
        resolve_id(name)
    except UnknownEnvironmentError:
        return False
    return True

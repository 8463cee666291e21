"""Reader of datasets in Minari's local store."""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec

from rl_larnn.envs.datasets.columns import Columns
from rl_larnn.envs.datasets.dataset import Dataset, check_supported, to_dtype_of
from rl_larnn.envs.datasets.episode import Episode, as_numbers
from rl_larnn.envs.datasets.errors import DatasetError, import_optional
from rl_larnn.envs.datasets.minari_store import RECORD, dataset_folder, local_ids, parse_id
from rl_larnn.envs.datasets.readers.reader import Source
from rl_larnn.envs.datasets.scores import References, d4rl_locomotion
from rl_larnn.envs.ids import UnknownEnvironmentError, resolve_id
from rl_larnn.errors import one_line

_LAYOUT = "observations (T + 1, ...), actions (T, ...), rewards, terminations and truncations (T,)"


class MinariReader:
    """Reader of Minari's local store. It claims every name; what is no id is refused when it is looked up."""

    def claims(self, name: str) -> bool:
        return True

    def find(self, name: str, download: bool, max_episode_steps: int | None) -> Source:
        dataset_id = complete_id(name, download)
        folder = dataset_folder(dataset_id)
        # Within the folder of the dataset, the copy is deleted together with it.
        return Source(dataset_id, folder / "data", folder / "columns", lambda: read_minari(dataset_id, download))

    def permanent_name(self, name: str) -> str:
        return name

    def title(self, name: str) -> str:
        return name


def complete_id(name: str, download: bool = False) -> str:
    """Return the id, with its version, of the Minari dataset that ``name`` means: of several the newest local one.

    :raises DatasetError: it is not in the local store and may not be downloaded, or cannot be without a version
    """
    namespace, _, version = parse_id(name)
    local = local_ids()
    if version is not None:
        if download or name in local or dataset_folder(name).exists():
            return name
        raise _unknown(name, namespace, local)
    versions = [(parse_id(known)[2] or 0, known) for known in local if known.rpartition("-v")[0] == name]
    versions = versions or _unlisted_versions(name)
    if not versions and download:
        raise DatasetError(f"expected a dataset id with its version to download it, such as {name}-v0, got {name!r}")
    if not versions:
        raise _unknown(name, namespace, local)
    return max(versions)[1]


def _unlisted_versions(name: str) -> list[tuple[int, str]]:
    """Versions whose folders Minari does not list because they are damaged; reading them tells how."""
    folder = dataset_folder(name)
    numbers = [other.name.removeprefix(f"{folder.name}-v") for other in folder.parent.glob(f"{folder.name}-v*")]
    return [(int(number), f"{name}-v{number}") for number in numbers if number.isdecimal()]


def _unknown(name: str, namespace: str | None, local: list[str]) -> DatasetError:
    """Return the error for an unknown id: one line with the nearest names and the ways to get the dataset."""
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


def read_minari(dataset_id: str, download: bool = False) -> Dataset:
    """Read a dataset from the local store.

    :param dataset_id: complete, with its version
    :param download: fetch the dataset if it is missing
    :raises DatasetError: it is missing, cannot be fetched, or is damaged; with the episode and what was expected
    """
    source = _open(dataset_id, download)
    for key, space in (("observations", source.observation_space), ("actions", source.action_space)):
        check_supported(space, key, dataset_id)
    try:
        columns = Columns.of(list(_episodes(source)))
    except DatasetError as error:
        raise DatasetError(f"{dataset_id}, {error}") from error
    metadata = source.storage.metadata
    record = dict(metadata.get(RECORD, {}))
    spec = source.env_spec
    env_kwargs = record.pop("env_kwargs", {} if spec is None else _arguments(spec))
    env_id = record.pop("env_id", None if spec is None else spec.id)
    low, high = metadata.get("ref_min_score"), metadata.get("ref_max_score")
    made_by = {key: metadata[key] for key in ("algorithm_name", "description") if key in metadata}
    return Dataset(
        name=dataset_id,
        columns=columns,
        observation_space=source.observation_space,
        action_space=source.action_space,
        references=None if low is None or high is None else References(float(low), float(high)),
        env_id=env_id,
        env_kwargs=env_kwargs,
        metadata={**made_by, **record},
    ).check()


def _arguments(spec: EnvSpec) -> dict[str, Any]:
    """Return the arguments of an environment, with its step limit where that is not the registered one."""
    registered = gym.registry.get(spec.id)
    if registered is None or registered.max_episode_steps == spec.max_episode_steps:
        return dict(spec.kwargs)
    return {**spec.kwargs, "max_episode_steps": spec.max_episode_steps}


def read_record(dataset_id: str) -> dict[str, Any]:
    """Return the metadata of this library for a local dataset; an empty dict if another program wrote it.

    :raises DatasetError: the dataset is missing or damaged
    """
    return dict(_open(dataset_id, download=False).storage.metadata.get(RECORD, {}))


def _open(dataset_id: str, download: bool) -> Any:
    minari = import_optional("minari")
    try:
        return minari.load_dataset(dataset_id, download=download)
    except Exception as error:
        # Damaged metadata and downloads fail with many kinds of errors: of JSON, spaces, specs, the network.
        here = dataset_folder(dataset_id).exists()
        expected = "read the metadata of" if here else "download" if download else "find"
        raise DatasetError(f"cannot {expected} the dataset {dataset_id}: {one_line(error)}") from error


def _episodes(source: Any) -> Iterator[Episode]:
    number = 0
    try:
        for data in source.iterate_episodes():
            yield _episode(data, source.observation_space, source.action_space)
            number += 1
    except DatasetError as error:
        raise DatasetError(f"episode {number}: {error}") from None
    except (OSError, KeyError, ValueError, TypeError, AssertionError, RuntimeError) as error:
        raise DatasetError(f"episode {number}: expected {_LAYOUT}, got {one_line(error)}") from error


def _episode(data: Any, observation_space: gym.Space, action_space: gym.Space) -> Episode:
    rewards = as_numbers(data.rewards, "rewards")
    if rewards.ndim != 1 or len(rewards) == 0:
        raise DatasetError(f"rewards: expected shape (T,) with at least one step, got {rewards.shape}")
    seen = to_dtype_of(observation_space, as_numbers(data.observations, "observations"), "observations")
    if len(seen) != len(rewards) + 1:
        expected = f"({len(rewards) + 1}, ...), one more than there are rewards"
        raise DatasetError(f"observations: expected shape {expected}, got {seen.shape}")
    ends = {key: as_numbers(getattr(data, key), key) for key in ("terminations", "truncations")}
    for key, flags in ends.items():
        if flags.shape != rewards.shape:
            raise DatasetError(f"{key}: expected shape {rewards.shape} like the rewards, got {flags.shape}")
        if flags[:-1].any():
            step = int(np.flatnonzero(flags)[0])
            raise DatasetError(f"{key}: expected true at most at the last of {len(flags)} steps, got it at step {step}")
    actions = to_dtype_of(action_space, as_numbers(data.actions, "actions"), "actions")
    return Episode(seen[:-1], actions, rewards, ends["terminations"][-1], ends["truncations"][-1], seen[-1])

"""Writer of Minari's datasets.

The metadata of this library are under the key ``rl_larnn``; everything else is as Minari's own tools expect it. Images
are stored without loss, which is not Minari's default.
"""

import copy
import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec

from rl_larnn.envs.datasets.dataset import Dataset
from rl_larnn.envs.datasets.episode import Episode
from rl_larnn.envs.datasets.errors import DatasetError, import_optional
from rl_larnn.envs.datasets.minari_store import RECORD, dataset_folder, parse_id, refuse_taken_id
from rl_larnn.files import creating_folder


def store_minari(dataset: Dataset, dataset_id: str, seeds: Sequence[int] | None = None) -> Path:
    """Write a dataset under a new id, whole or not at all.

    :param dataset: all episodes need their final observation; ``metadata`` should tell their origin
    :param dataset_id: complete, with its version
    :param seeds: seed of the environment for each episode
    :return: the folder of the dataset
    :raises DatasetError: the id is taken or incomplete, or final observations are unknown
    """
    refuse_taken_id(dataset_id)
    if dataset.columns.final_observations is None:
        raise DatasetError(
            f"{dataset.name}: Minari keeps T + 1 observations, but those after the last step are unknown"
        )
    folder = dataset_folder(dataset_id)
    try:
        with creating_folder(folder) as new:
            _write(dataset, dataset_id, new, seeds)
    except OSError as error:
        raise DatasetError(f"cannot write the dataset {folder}: {error.strerror or error}") from error
    _create_namespace(dataset_id)
    return folder


def _write(dataset: Dataset, dataset_id: str, folder: Path, seeds: Sequence[int] | None) -> None:
    minari, storages = import_optional("minari"), import_optional("minari.dataset.minari_storage")
    storage = storages.MinariStorage.new(
        folder / "data",
        observation_space=dataset.observation_space,
        action_space=dataset.action_space,
        env_spec=_spec(dataset),
        jpeg_encoding=False,
    )
    record = {**dataset.metadata, "env_id": dataset.env_id, "env_kwargs": dict(dataset.env_kwargs)}
    metadata: dict[str, Any] = {"dataset_id": dataset_id, "minari_version": minari.__version__, RECORD: record}
    metadata |= {key: str(record.pop(key)) for key in ("algorithm_name", "description") if key in record}
    if dataset.references is not None:
        metadata |= {"ref_min_score": dataset.references.minimum, "ref_max_score": dataset.references.maximum}
    storage.update_metadata(metadata)
    storage.update_episodes(_buffer(episode, i, seeds) for i, episode in enumerate(dataset.episodes))


def _create_namespace(dataset_id: str) -> None:
    """Write the file that Minari's own commands expect beside the datasets of a namespace."""
    namespace, spaces_of = parse_id(dataset_id)[0], import_optional("minari.namespace")
    if namespace is not None and namespace not in spaces_of.list_local_namespaces():
        spaces_of.create_namespace(namespace)


def _buffer(episode: Episode, number: int, seeds: Sequence[int] | None) -> Any:
    assert episode.final_observation is not None
    last = np.arange(len(episode)) == len(episode) - 1
    return import_optional("minari.data_collector").EpisodeBuffer(
        id=number,
        seed=None if seeds is None else int(seeds[number]),
        observations=np.concatenate([episode.observations, episode.final_observation[None]]),
        actions=episode.actions,
        rewards=episode.rewards,
        terminations=last & episode.terminated,
        truncations=last & episode.truncated,
    )


def _spec(dataset: Dataset) -> EnvSpec | None:
    """Return the spec of the environment with the arguments of the dataset, or None if JSON cannot hold it."""
    if dataset.env_id is None:
        return None
    try:
        module, _, plain = dataset.env_id.rpartition(":")
        if module:
            importlib.import_module(module)
        spec = copy.deepcopy(gym.spec(plain))
        spec.kwargs.update(dataset.env_kwargs)
        spec.to_json()
    except (gym.error.Error, TypeError, ImportError):
        return None
    return spec

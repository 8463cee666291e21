"""Reader of Minari's datasets, those of others and those of our own."""

from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec

from rl_larnn.envs.datasets.columns import Columns
from rl_larnn.envs.datasets.dataset import Dataset, check_supported, in_dtype_of
from rl_larnn.envs.datasets.episode import Episode, numbers
from rl_larnn.envs.datasets.errors import DatasetError, require
from rl_larnn.envs.datasets.minari_store import RECORD, dataset_folder
from rl_larnn.envs.datasets.scores import References
from rl_larnn.errors import one_line

_LAYOUT = "observations (T + 1, ...), actions (T, ...), rewards, terminations and truncations (T,)"


def read_minari(dataset_id: str, download: bool = False) -> Dataset:
    """Reads a dataset, from the local store if it is there.

    Args:
        dataset_id: complete, with its version.
        download: fetch it if it is not there.

    Raises:
        DatasetError: it is not there, cannot be fetched, or is damaged; with the episode and what was expected of it.
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
    """What an environment was made with, its limit of steps included where that is not the registered one."""
    registered = gym.registry.get(spec.id)
    if registered is None or registered.max_episode_steps == spec.max_episode_steps:
        return dict(spec.kwargs)
    return {**spec.kwargs, "max_episode_steps": spec.max_episode_steps}


def read_record(dataset_id: str) -> dict[str, Any]:
    """What this library has written about a local dataset; nothing about those of others.

    Raises:
        DatasetError: it is not there, or damaged.
    """
    return dict(_open(dataset_id, download=False).storage.metadata.get(RECORD, {}))


def _open(dataset_id: str, download: bool) -> Any:
    minari = require("minari")
    try:
        return minari.load_dataset(dataset_id, download=download)
    except Exception as error:
        # Damaged metadata fails in as many ways as JSON, spaces and specs know; so does a download.
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
    rewards = numbers(data.rewards, "rewards")
    if rewards.ndim != 1 or len(rewards) == 0:
        raise DatasetError(f"rewards: expected shape (T,) with at least one step, got {rewards.shape}")
    seen = in_dtype_of(observation_space, numbers(data.observations, "observations"), "observations")
    if len(seen) != len(rewards) + 1:
        expected = f"({len(rewards) + 1}, ...), one more than there are rewards"
        raise DatasetError(f"observations: expected shape {expected}, got {seen.shape}")
    ends = {key: numbers(getattr(data, key), key) for key in ("terminations", "truncations")}
    for key, flags in ends.items():
        if flags.shape != rewards.shape:
            raise DatasetError(f"{key}: expected shape {rewards.shape} like the rewards, got {flags.shape}")
        if flags[:-1].any():
            step = int(np.flatnonzero(flags)[0])
            raise DatasetError(f"{key}: expected true at most at the last of {len(flags)} steps, got it at step {step}")
    actions = in_dtype_of(action_space, numbers(data.actions, "actions"), "actions")
    return Episode(seen[:-1], actions, rewards, ends["terminations"][-1], ends["truncations"][-1], seen[-1])

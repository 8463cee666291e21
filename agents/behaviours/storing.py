"""Collected episodes as datasets in Minari's store, with a record of what made them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rl_larnn.agents.behaviours.config import CollectConfig, CollectionEnv
from rl_larnn.agents.behaviours.folder import REFERENCE_EPISODES
from rl_larnn.agents.runs.results import versions
from rl_larnn.envs.datasets import (
    Columns,
    Dataset,
    Episode,
    References,
    dataset_folder,
    read_minari,
    refuse_taken_id,
    store_minari,
)


@dataclass(frozen=True)
class StoredDataset:
    """A dataset in Minari's store.

    :param dataset: what was stored; ``name`` is its id
    :param seeds: what the environment was reset with for each episode, if that is known
    """

    dataset: Dataset
    folder: Path
    seeds: list[int] | None = None


@dataclass(frozen=True)
class Part:
    """Episodes of one behaviour.

    :param seeds: as of :class:`StoredDataset`; empty if they are not known
    :param record: plain data about the behaviour
    """

    episodes: list[Episode]
    seeds: list[int]
    record: dict[str, Any]


def collection_settings(config: CollectConfig) -> dict[str, Any]:
    """The settings on which the episodes of a collection depend, beside the environment, as plain data."""
    keys = ("level", "quality", "seed", "deterministic", "n_timesteps", "agent", "expert")
    values = {key: getattr(config, key) for key in keys}
    found = {key: str(value) if isinstance(value, Path) else value for key, value in values.items()}
    amount = None if config.level == "medium-replay" else config.amount
    return {**found, "episodes": amount and amount.episodes, "steps": amount and amount.steps}


def find_stored_plain(config: CollectConfig, env: CollectionEnv) -> StoredDataset | None:
    """The unmasked dataset of a masked one, where an earlier collection was stopped between the two.

    :raises DatasetError: if what is to be stored exists, or the unmasked dataset is of another collection
    """
    ids = env.dataset_ids(config)
    plain = ids[env.plain_id]
    refuse_taken_id(ids[env.env_id])
    if not dataset_folder(plain).exists():
        return None
    dataset = read_minari(plain)
    if env.mask is None or dataset.metadata.get("asked") != collection_settings(config):
        refuse_taken_id(plain)
    return StoredDataset(dataset, dataset_folder(plain))


def store_plain(
    parts: Sequence[Part], references: References, record: Mapping[str, Any], config: CollectConfig, env: CollectionEnv
) -> StoredDataset:
    """Store episodes with everything visible.

    :param record: plain data about the behaviours together
    """
    ids, records = env.dataset_ids(config), [part.record for part in parts]
    dataset = Dataset(
        ids[env.plain_id],
        Columns.of([episode for part in parts for episode in part.episodes]),
        *env.spaces(),
        references=references,
        env_id=env.plain_id,
        env_kwargs=env.env_kwargs,
        metadata={
            "description": f"{env.plain_id}, level {config.level}",
            "twin": None if env.mask is None else ids[env.env_id],
            "algorithm_name": str(records[-1].get("algorithm_name", records[-1]["policy"])),
            "level": config.level,
            "seed": config.seed,
            "played_on": env.plain_id,
            "behaviours": records,
            "asked": collection_settings(config),
            "reference_episodes": config.reference_episodes or REFERENCE_EPISODES,
            **record,
            "versions": versions(),
        },
    ).check()
    seeds = [seed for part in parts for seed in part.seeds] or None
    return StoredDataset(dataset, store_minari(dataset, dataset.name, seeds), seeds)


def store_masked(stored: StoredDataset, config: CollectConfig, env: CollectionEnv) -> StoredDataset:
    """Store the episodes of an unmasked dataset as the masked task shows them."""
    assert env.mask is not None
    plain = stored.dataset
    masked = plain.with_episodes(
        [env.mask.apply(episode) for episode in plain.episodes],
        name=env.dataset_ids(config)[env.env_id],
        observation_space=env.mask.observation_space,
        env_id=env.env_id,
        metadata={
            **plain.metadata,
            "description": f"{env.env_id}, level {plain.metadata['level']}, played on {env.plain_id}",
            "twin": plain.name,
        },
    ).check()
    return StoredDataset(masked, store_minari(masked, masked.name, stored.seeds), stored.seeds)

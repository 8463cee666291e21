"""From a level of skill to stored datasets: who plays, how long, and where it goes.

The levels are D4RL's: random, medium, medium-replay, medium-expert and expert; and ``mixed``, in which each episode is
the expert's with a probability, else random. Where the environment is a masked task, everything is played with the
whole state visible and stored twice: as it was, and as the masked task shows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.utils import set_random_seed
from tqdm import tqdm

from rl_larnn.agents.collecting.casting import Announce, Cast, find_cast
from rl_larnn.agents.collecting.config import CollectConfig, Stage, find_stage
from rl_larnn.agents.errors import UserError
from rl_larnn.agents.randomness import derived_seed
from rl_larnn.agents.results import versions
from rl_larnn.envs.datasets import (
    Amount,
    Behaviour,
    Columns,
    Dataset,
    DatasetError,
    Episode,
    References,
    collect,
    episode_seed,
    mixed_behaviour,
    refuse_existing,
    store_minari,
)


@dataclass(frozen=True)
class Stored:
    """A dataset in Minari's store.

    :param dataset: what was stored; ``name`` is its id
    """

    dataset: Dataset
    folder: Path


@dataclass(frozen=True)
class _Part:
    """Episodes of one behaviour, and what the environment was reset with for each; nothing where that is not known."""

    episodes: list[Episode]
    seeds: list[int]
    record: dict[str, Any]


def collect_datasets(config: CollectConfig, announce: Announce = lambda folder, steps: None) -> list[Stored]:
    """Collect a level and store it: of a masked task the plain twin first, then the masked one.

    :param announce: told before a behaviour is trained, which can take long
    :return: what was stored, the dataset of ``config.env`` last
    :raises UserError: for a mistake in the config, and for agents that are missing or don't fit
    """
    try:
        return _collect(config, announce)
    except DatasetError as error:
        raise UserError(str(error)) from error


def _collect(config: CollectConfig, announce: Announce) -> list[Stored]:
    stage, amount = find_stage(config), config.amount
    ids = stage.dataset_ids(config)
    for dataset_id in ids.values():
        refuse_existing(dataset_id)
    cast = find_cast(config, stage, announce)
    references = cast.references or _measure(cast, config, stage)
    parts = _parts(cast, amount, config, stage)
    about = _about(parts, cast, config, stage)
    return [_store(env_id, ids, parts, references, stage, about) for env_id in ids]


def _parts(cast: Cast, amount: Amount, config: CollectConfig, stage: Stage) -> list[_Part]:
    """The episodes of a level; at most two behaviours' one after the other."""
    if config.level == "medium-replay":
        assert cast.replay is not None
        record = {"policy": "training up to medium", "algorithm_name": cast.expert.record["algorithm_name"]}
        return [_Part(list(cast.replay.episodes), [], record)]
    behaviours: dict[str, Behaviour | None] = {"random": cast.random, "medium": cast.medium, "expert": cast.expert}
    if config.level == "mixed":
        env = stage.make()
        behaviours["mixed"] = mixed_behaviour(cast.expert, env.action_space, config.quality, config.seed)
        env.close()
    names = config.level.split("-")
    share = amount.half if len(names) == 2 else amount
    return [_play(behaviours[name], share, config, stage, number) for number, name in enumerate(names)]


def _play(behaviour: Behaviour | None, amount: Amount, config: CollectConfig, stage: Stage, number: int) -> _Part:
    assert behaviour is not None
    seed = derived_seed(config.seed, 6, number)
    set_random_seed(seed)
    total = amount.steps
    shown = None if config.progress_bar else True
    with tqdm(total=total, unit=" steps", desc="collecting", disable=shown, leave=False) as bar:
        episodes = collect(stage.make, behaviour, amount, seed, on_steps=bar.update)
    seeds = [episode_seed(seed, i) for i in range(len(episodes))]
    return _Part(episodes, seeds, {**behaviour.record, "episodes": len(episodes)})


def _measure(cast: Cast, config: CollectConfig, stage: Stage) -> References:
    """Mean returns of random play and of the expert, always on the same episodes for a seed."""
    means, amount = [], Amount(episodes=config.reference_episodes)
    shown = None if config.progress_bar else True
    for number, behaviour in enumerate((cast.random, cast.expert)):
        seed = derived_seed(config.seed, 7, number)
        set_random_seed(seed)
        with tqdm(unit=" steps", desc="measuring the references", disable=shown, leave=False) as bar:
            episodes = collect(stage.make, behaviour, amount, seed, on_steps=bar.update)
        means.append(float(np.mean([episode.total_reward for episode in episodes])))
    if not means[1] > means[0]:
        raise UserError(f"the expert's mean return, {means[1]:g}, is not above that of random play, {means[0]:g}")
    return References(*means)


def _store(
    env_id: str, ids: Mapping[str, str], parts: list[_Part], references: References, stage: Stage, about: dict[str, Any]
) -> Stored:
    """One of the twins: as it was played, or as the masked task shows it."""
    env = stage.make()
    episodes = [episode for part in parts for episode in part.episodes]
    observation_space, action_space = env.observation_space, env.action_space
    env.close()
    if stage.mask is not None and env_id == stage.env_id:
        episodes, observation_space = [stage.mask.twin(episode) for episode in episodes], stage.mask.observation_space
    twin = next((dataset_id for other, dataset_id in ids.items() if other != env_id), None)
    dataset = Dataset(
        name=ids[env_id],
        columns=Columns.of(episodes),
        observation_space=observation_space,
        action_space=action_space,
        references=references,
        env_id=env_id,
        env_kwargs=stage.env_kwargs,
        metadata={
            "description": f"{env_id}, level {about['level']}, played on {stage.plain_id}",
            "twin": twin,
            **about,
        },
    ).check()
    seeds = [seed for part in parts for seed in part.seeds]
    return Stored(dataset, store_minari(dataset, ids[env_id], seeds or None))


def _about(parts: list[_Part], cast: Cast, config: CollectConfig, stage: Stage) -> dict[str, Any]:
    """What made the episodes, as plain data."""
    records = [part.record for part in parts]
    return {
        "algorithm_name": str(records[-1].get("algorithm_name", records[-1]["policy"])),
        "level": config.level,
        "seed": config.seed,
        "played_on": stage.plain_id,
        "behaviours": records,
        "reference_episodes": config.reference_episodes,
        **cast.record,
        "versions": versions(),
    }

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

from rl_larnn.agents.behaviours.config import CollectConfig, Stage, find_stage
from rl_larnn.agents.behaviours.level_behaviours import Announce, Cast, find_cast
from rl_larnn.agents.behaviours.training import REFERENCE_EPISODES
from rl_larnn.agents.runs.randomness import derived_seed
from rl_larnn.agents.runs.results import versions
from rl_larnn.envs.datasets import (
    Amount,
    Behaviour,
    Columns,
    Dataset,
    Episode,
    References,
    collect,
    dataset_folder,
    episode_seed,
    mixed_behaviour,
    read_minari,
    refuse_existing,
    store_minari,
)
from rl_larnn.errors import UserError


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
    stage, amount = find_stage(config), config.amount
    ids = stage.dataset_ids(config)
    if (plain := _plain_twin(config, stage, ids)) is not None:
        return [plain, _store_masked(plain.dataset, ids, stage)]
    cast = find_cast(config, stage, announce)
    references = cast.references or _measure(cast, config, stage)
    parts = _parts(cast, amount, config, stage)
    about = _about(parts, cast, config, stage)
    plain = _store(ids, parts, references, stage, about)
    if stage.mask is None:
        return [plain]
    return [plain, _store_masked(plain.dataset, ids, stage, _seeds(parts))]


def asked(config: CollectConfig) -> dict[str, Any]:
    """What tells the episodes of one collection from those of another on the same environment, as plain data."""
    keys = ("level", "quality", "seed", "deterministic", "n_timesteps", "agent", "expert")
    values = {key: getattr(config, key) for key in keys}
    found = {key: str(value) if isinstance(value, Path) else value for key, value in values.items()}
    amount = None if config.level == "medium-replay" else config.amount
    return {**found, "episodes": amount and amount.episodes, "steps": amount and amount.steps}


def _plain_twin(config: CollectConfig, stage: Stage, ids: Mapping[str, str]) -> Stored | None:
    """The plain twin of a masked dataset, where it alone was stored before something stopped.

    :raises DatasetError: if what is to be stored is there already, or the plain twin is of another collection
    """
    plain = ids[stage.plain_id]
    refuse_existing(ids[stage.env_id])
    if not dataset_folder(plain).exists():
        return None
    dataset = read_minari(plain)
    if stage.mask is None or dataset.metadata.get("asked") != asked(config):
        refuse_existing(plain)
    return Stored(dataset, dataset_folder(plain))


def _parts(cast: Cast, amount: Amount, config: CollectConfig, stage: Stage) -> list[_Part]:
    """The episodes of a level; at most two behaviours' one after the other."""
    if config.level == "medium-replay":
        assert cast.replay is not None
        record = {"policy": "training up to medium", "algorithm_name": cast.expert.record["algorithm_name"]}
        return [_Part(list(cast.replay.episodes), [], record)]
    behaviours: dict[str, Behaviour | None] = {"random": cast.random, "medium": cast.medium, "expert": cast.expert}
    if config.level == "mixed":
        env = stage.make()
        behaviours["mixed"] = mixed_behaviour(cast.expert, env.action_space, config.share, config.seed)
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
    means, amount = [], Amount(episodes=config.reference_episodes or REFERENCE_EPISODES)
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
    ids: Mapping[str, str], parts: list[_Part], references: References, stage: Stage, about: dict[str, Any]
) -> Stored:
    """What was played, with everything visible."""
    env = stage.make()
    episodes = [episode for part in parts for episode in part.episodes]
    observation_space, action_space = env.observation_space, env.action_space
    env.close()
    dataset = Dataset(
        name=ids[stage.plain_id],
        columns=Columns.of(episodes),
        observation_space=observation_space,
        action_space=action_space,
        references=references,
        env_id=stage.plain_id,
        env_kwargs=stage.env_kwargs,
        metadata={
            "description": f"{stage.plain_id}, level {about['level']}",
            "twin": None if stage.mask is None else ids[stage.env_id],
            **about,
        },
    ).check()
    return Stored(dataset, store_minari(dataset, dataset.name, _seeds(parts)))


def _store_masked(plain: Dataset, ids: Mapping[str, str], stage: Stage, seeds: list[int] | None = None) -> Stored:
    """The same episodes as the masked task shows them."""
    assert stage.mask is not None
    level = plain.metadata["level"]
    masked = plain.with_episodes(
        [stage.mask.twin(episode) for episode in plain.episodes],
        name=ids[stage.env_id],
        observation_space=stage.mask.observation_space,
        env_id=stage.env_id,
        metadata={
            **plain.metadata,
            "description": f"{stage.env_id}, level {level}, played on {stage.plain_id}",
            "twin": plain.name,
        },
    ).check()
    return Stored(masked, store_minari(masked, masked.name, seeds))


def _seeds(parts: list[_Part]) -> list[int] | None:
    """What the environment was reset with for each episode, where that is known."""
    return [seed for part in parts for seed in part.seeds] or None


def _about(parts: list[_Part], cast: Cast, config: CollectConfig, stage: Stage) -> dict[str, Any]:
    """What made the episodes, as plain data."""
    records = [part.record for part in parts]
    return {
        "algorithm_name": str(records[-1].get("algorithm_name", records[-1]["policy"])),
        "level": config.level,
        "seed": config.seed,
        "played_on": stage.plain_id,
        "behaviours": records,
        "asked": asked(config),
        "reference_episodes": config.reference_episodes or REFERENCE_EPISODES,
        **cast.record,
        "versions": versions(),
    }

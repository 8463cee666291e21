"""Behaviour folders: an expert, a medium agent, and the episodes of training up to medium, as in D4RL.

The expert is the agent with the best evaluation. Medium is the agent that was nearest to a third of the way from random
play to the expert when training first got that far. A folder holds ``behaviour.json``, ``expert.zip``, ``medium.zip``
and ``replay/`` (a dataset of the training episodes up to medium).
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rl_larnn.agents.behaviours.checkpoint import TrainingHistory, agent_file
from rl_larnn.agents.behaviours.config import CollectionEnv
from rl_larnn.agents.behaviours.saved_agents import load_agent
from rl_larnn.agents.runs.results import versions
from rl_larnn.agents.settings.environments import derived_seed
from rl_larnn.envs.datasets import (
    Amount,
    Columns,
    Dataset,
    Episode,
    References,
    collect,
    random_behaviour,
    save_dataset,
)
from rl_larnn.errors import UserError
from rl_larnn.files import read_json, write_json

BEHAVIOUR = "behaviour.json"
EXPERT, MEDIUM, REPLAY = "expert.zip", "medium.zip", "replay"

#: Episodes behind each of the two reference returns.
REFERENCE_EPISODES = 100

#: How far from random play to the expert medium is.
MEDIUM_SHARE = 1 / 3


class NoUsableBehaviour(UserError):
    """Training finished without a usable behaviour; resuming it cannot help."""


@dataclass(frozen=True)
class TrainedBehaviour:
    """What a behaviour folder says of itself.

    :param references: mean returns of random play and of the expert, actions sampled
    :param record: what is in ``behaviour.json``
    """

    folder: Path
    references: References
    record: Mapping[str, Any]


def read_behaviour(folder: str | Path) -> TrainedBehaviour | None:
    """Read a behaviour folder; ``None`` if it is something else.

    :raises UserError: if its record is damaged
    """
    folder = Path(folder)
    if not (folder / BEHAVIOUR).exists():
        return None
    record = read_json(folder / BEHAVIOUR, "the record of a behaviour")
    try:
        return TrainedBehaviour(folder, References(record["random"], record["expert"]), record)
    except KeyError as error:
        raise UserError(
            f"cannot read {folder / BEHAVIOUR}: expected the record of a behaviour, got no {error}"
        ) from error


def write_behaviour(
    new: Path,
    agents: Path,
    history: TrainingHistory,
    env: CollectionEnv,
    record: Mapping[str, Any],
    seed: int,
) -> None:
    """Measure the reference returns and write a behaviour folder.

    :param new: an empty folder
    :param agents: the folder with the agents that were evaluated
    :param record: what else the record should say
    :raises NoUsableBehaviour: if nothing was learned, or no episode ended before medium
    """
    expert, expert_return = max(history.evaluations, key=lambda evaluation: (evaluation[1], evaluation[0]))
    references = _measure_references(env, agents / agent_file(expert), seed)
    medium, medium_return = history.evaluations[choose_medium(history.evaluations, *references)]
    shutil.copyfile(agents / agent_file(expert), new / EXPERT)
    shutil.copyfile(agents / agent_file(medium), new / MEDIUM)
    _save_replay(new / REPLAY, [episode for end, episode in history.episodes if end <= medium], env)
    achieved = {
        "random": references.minimum,
        "expert": references.maximum,
        "reference_episodes": REFERENCE_EPISODES,
        "expert_steps": expert,
        "expert_trial": expert_return,
        "medium_steps": medium,
        "medium_trial": medium_return,
        "trials": [list(evaluation) for evaluation in history.evaluations],
        "resumed_at": history.resumed_at,
    }
    write_json(new / BEHAVIOUR, {**record, **achieved, "versions": versions()})


def choose_medium(evaluations: Sequence[tuple[int, float]], random: float, expert: float) -> int:
    """The index of the evaluation of the medium agent: the nearest to medium's return up to the first that reached it.

    :param evaluations: step and mean return of each
    :param random: mean return of random play
    :param expert: mean return of the expert
    """
    target = random + MEDIUM_SHARE * (expert - random)
    means = np.array([mean for _, mean in evaluations])
    reached = np.flatnonzero(means >= target)
    until = int(reached[0]) + 1 if len(reached) else len(means)
    return int(np.abs(means[:until] - target).argmin())


def agent_return(env: CollectionEnv, path: Path, episodes: int, seed: int) -> float:
    """Mean return of a saved agent in fresh episodes, with sampled actions as when it collects."""
    behaviour = load_agent(path).behaviour(env.make, None, deterministic=False)
    return mean_return(collect(env.make, behaviour, Amount(episodes=episodes), seed))


def mean_return(episodes: Sequence[Episode]) -> float:
    """Mean return of episodes."""
    return float(np.mean([episode.total_reward for episode in episodes]))


def _measure_references(env: CollectionEnv, expert: Path, seed: int) -> References:
    random = random_behaviour(env.spaces()[1], seed)
    low = mean_return(collect(env.make, random, Amount(episodes=REFERENCE_EPISODES), derived_seed(seed, 4)))
    high = agent_return(env, expert, REFERENCE_EPISODES, derived_seed(seed, 5))
    if not high > low:
        raise NoUsableBehaviour(
            f"the behaviour learned nothing: it returns {high:g}, random play {low:g}; train longer"
        )
    return References(low, high)


def _save_replay(folder: Path, episodes: list[Episode], env: CollectionEnv) -> None:
    if not episodes:
        raise NoUsableBehaviour(
            "no episode of the training had ended when the behaviour was medium; take another --seed"
        )
    save_dataset(Dataset("replay", Columns.of(episodes), *env.spaces()).check(), folder)

"""Training a behaviour, with its agents on the way and all that it saw: the levels of D4RL from one training.

The expert is the best agent in a trial. Medium is the agent that was nearest to a third of the way from random play to
the expert when training first got that far. Medium's replay are the episodes that training had seen by then.

A behaviour folder holds ``behaviour.json``, ``expert.zip``, ``medium.zip`` and ``replay/`` (a dataset). It is whole or
not there; a training that was stopped, while it is written too, goes on from a hidden folder beside it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.utils import set_random_seed
from stable_baselines3.common.vec_env import DummyVecEnv
from tqdm import tqdm

from rl_larnn.agents.behaviours.callbacks import Training, Watch, choose_medium, snapshot
from rl_larnn.agents.behaviours.checkpoint import keep, pick_up
from rl_larnn.agents.behaviours.recipes import ALGORITHMS, BehaviourRecipe
from rl_larnn.agents.behaviours.saved_agents import load_agent
from rl_larnn.agents.runs.checkpoint import has_checkpoint
from rl_larnn.agents.runs.randomness import derived_seed
from rl_larnn.agents.runs.results import versions
from rl_larnn.agents.settings.models import pick_device
from rl_larnn.agents.settings.values import Linear
from rl_larnn.envs.datasets import (
    Amount,
    Columns,
    Dataset,
    Episode,
    Recorder,
    References,
    collect,
    random_behaviour,
    save_dataset,
)
from rl_larnn.errors import UserError, one_line
from rl_larnn.files import locked, read_json, write_json

BEHAVIOUR = "behaviour.json"
_LOCK, _WHOLE = ".lock", "whole"
EXPERT, MEDIUM, REPLAY = "expert.zip", "medium.zip", "replay"

#: Episodes of a trial, and behind each of the two references.
TRIAL_EPISODES, REFERENCE_EPISODES = 10, 100


class _OfNoUse(UserError):
    """What a training came to at its end: to go on from there would come to the same."""


@dataclass(frozen=True)
class Trained:
    """A behaviour folder, read back.

    :param references: mean returns of random play and of the expert, actions sampled
    :param record: what is in ``behaviour.json``
    """

    folder: Path
    references: References
    record: Mapping[str, Any]


def read_behaviour(folder: str | Path) -> Trained | None:
    """A behaviour folder, or ``None`` if it is something else.

    :raises UserError: if its record is damaged
    """
    folder = Path(folder)
    if not (folder / BEHAVIOUR).exists():
        return None
    record = read_json(folder / BEHAVIOUR, "the record of a behaviour")
    try:
        return Trained(folder, References(record["random"], record["expert"]), record)
    except KeyError as error:
        raise UserError(
            f"cannot read {folder / BEHAVIOUR}: expected the record of a behaviour, got no {error}"
        ) from error


def train_behaviour(
    make: Callable[[], gym.Env],
    env_id: str,
    env_kwargs: Mapping[str, Any],
    recipe: BehaviourRecipe,
    folder: Path,
    seed: int = 0,
    device: str = "cpu",
    progress_bar: bool = False,
) -> Trained:
    """Train an agent and leave it, the one it was at medium, and what was seen until then in a new folder.

    Until it is whole it grows in a hidden folder beside; a training that was stopped goes on from there.

    :param make: makes the environment
    :param env_id: its id, for the record, with ``env_kwargs``
    :raises UserError: if the folder exists, another process is at it, or nothing was learned
    """
    if folder.exists():
        raise UserError(f"the folder {folder} exists already: pass it with --agent, or take another --seed")
    new = folder.with_name(f".{folder.name}.part")
    new.mkdir(parents=True, exist_ok=True)
    with locked(new / _LOCK, f"another process is training the behaviour in {new}: wait for it"):
        try:
            training = _train(make, recipe, new, seed, device, progress_bar)
            record = {"env": env_id, "env_kwargs": dict(env_kwargs), "seed": seed, **_describe(recipe)}
            os.rename(_finish(new, training, make, record, seed), folder)
            shutil.rmtree(new)
        except _OfNoUse:
            shutil.rmtree(new, ignore_errors=True)
            raise
        finally:
            if not has_checkpoint(new):
                shutil.rmtree(new, ignore_errors=True)
    trained = read_behaviour(folder)
    assert trained is not None
    return trained


def _train(
    make: Callable[[], gym.Env], recipe: BehaviourRecipe, folder: Path, seed: int, device: str, visible: bool
) -> Training:
    ended: list[Episode] = []
    env = DummyVecEnv([lambda: Recorder(make(), ended.append) for _ in range(recipe.n_envs)])

    def try_agent(path: Path) -> float:
        return float(np.mean(_returns(make, path, TRIAL_EPISODES, derived_seed(seed, 3))))

    try:
        if has_checkpoint(folder):
            model, training = pick_up(folder, ALGORITHMS[recipe.algorithm], env, pick_device(device))
            if model.num_timesteps < recipe.n_timesteps:
                training.resumed_at.append(model.num_timesteps)
            _forget_later(folder, training)
            set_random_seed(derived_seed(seed, 8, model.num_timesteps))
        else:
            model, training = _build(recipe, env, seed, device), Training()
        training.untimed = ended
        total, done = recipe.n_timesteps, model.num_timesteps
        with tqdm(total=total, initial=done, unit=" steps", disable=None if visible else True, leave=False) as bar:
            watch = Watch(training, try_agent, lambda model: keep(folder, model, training), folder, total, bar)
            if done < total:
                model.learn(total - done, callback=watch, reset_num_timesteps=not done)
                keep(folder, model, training)  # what is left to do takes its time too
    except (ValueError, AssertionError, TypeError) as error:
        raise UserError(f"cannot train a behaviour with {recipe.algorithm}: {one_line(error)}") from error
    finally:
        env.close()
    return training


def _forget_later(folder: Path, training: Training) -> None:
    """Remove the agents that were saved after the moment that was kept."""
    known = {snapshot(steps) for steps, _ in training.trials}
    for path in folder.glob("*.zip"):
        if path.name not in known:
            path.unlink()


def _build(recipe: BehaviourRecipe, env: DummyVecEnv, seed: int, device: str) -> BaseAlgorithm:
    policy = "CnnPolicy" if is_image_space(env.observation_space) else "MlpPolicy"
    # Algorithms write into the dictionaries that they are given.
    arguments: dict[str, Any] = {
        key: value.schedule() if isinstance(value, Linear) else deepcopy(value)
        for key, value in recipe.arguments.items()
    }
    return ALGORITHMS[recipe.algorithm](policy, env, seed=seed, device=pick_device(device), **arguments)


def _returns(make: Callable[[], gym.Env], path: Path, episodes: int, seed: int) -> list[float]:
    """Returns of fresh episodes of a saved agent, played as it will play when it collects."""
    behaviour = load_agent(path).behaviour(make, None, deterministic=False)
    return [episode.total_reward for episode in collect(make, behaviour, Amount(episodes=episodes), seed)]


def _finish(folder: Path, training: Training, make: Callable[[], gym.Env], record: dict[str, Any], seed: int) -> Path:
    """Measure the references and write the behaviour folder, which is returned. What it is made from stays."""
    trials = training.trials
    expert, expert_return = max(trials, key=lambda trial: (trial[1], trial[0]))
    references = _references(make, folder / snapshot(expert), seed)
    medium, medium_return = trials[choose_medium(trials, *references)]
    whole = folder / _WHOLE
    shutil.rmtree(whole, ignore_errors=True)
    whole.mkdir()
    shutil.copyfile(folder / snapshot(expert), whole / EXPERT)
    shutil.copyfile(folder / snapshot(medium), whole / MEDIUM)
    _save_replay(whole / REPLAY, [episode for end, episode in training.tape if end <= medium], make)
    achieved = {
        "random": references.minimum,
        "expert": references.maximum,
        "reference_episodes": REFERENCE_EPISODES,
        "expert_steps": expert,
        "expert_trial": expert_return,
        "medium_steps": medium,
        "medium_trial": medium_return,
        "trials": [list(trial) for trial in trials],
        "resumed_at": training.resumed_at,
    }
    write_json(whole / BEHAVIOUR, {**record, **achieved, "versions": versions()})
    return whole


def _references(make: Callable[[], gym.Env], expert: Path, seed: int) -> References:
    env = make()
    random = random_behaviour(env.action_space, seed)
    env.close()
    played = collect(make, random, Amount(episodes=REFERENCE_EPISODES), derived_seed(seed, 4))
    low = float(np.mean([episode.total_reward for episode in played]))
    high = float(np.mean(_returns(make, expert, REFERENCE_EPISODES, derived_seed(seed, 5))))
    if not high > low:
        raise _OfNoUse(f"the behaviour learned nothing: it returns {high:g}, random play {low:g}; train longer")
    return References(low, high)


def _save_replay(folder: Path, episodes: list[Episode], make: Callable[[], gym.Env]) -> None:
    if not episodes:
        raise _OfNoUse("no episode of the training had ended when the behaviour was medium; take another --seed")
    env = make()
    dataset = Dataset("replay", Columns.of(episodes), env.observation_space, env.action_space)
    env.close()
    save_dataset(dataset.check(), folder)


def _describe(recipe: BehaviourRecipe) -> dict[str, Any]:
    arguments = {key: str(value) if isinstance(value, Linear) else value for key, value in recipe.arguments.items()}
    return {
        "algorithm": recipe.algorithm,
        "n_timesteps": recipe.n_timesteps,
        "n_envs": recipe.n_envs,
        "arguments": arguments,
    }

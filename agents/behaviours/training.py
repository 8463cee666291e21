"""Training a behaviour that sees everything.

Until its folder is whole, a training lives in a hidden folder beside it; one that was stopped resumes from there.
"""

from __future__ import annotations

import os
import shutil
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.utils import set_random_seed
from stable_baselines3.common.vec_env import DummyVecEnv

from rl_larnn.agents.behaviours.callbacks import EvaluationCallback, RecordingCallback
from rl_larnn.agents.behaviours.checkpoint import TrainingHistory, agent_file, load_checkpoint, save_checkpoint
from rl_larnn.agents.behaviours.config import CollectionEnv
from rl_larnn.agents.behaviours.folder import (
    NoUsableBehaviour,
    TrainedBehaviour,
    agent_return,
    read_behaviour,
    write_behaviour,
)
from rl_larnn.agents.behaviours.recipes import ALGORITHMS, BehaviourRecipe
from rl_larnn.agents.reporting.reporter import SILENT, Reporter
from rl_larnn.agents.runs.checkpoint import has_checkpoint
from rl_larnn.agents.settings.environments import derived_seed
from rl_larnn.agents.settings.models import pick_device
from rl_larnn.agents.settings.values import Linear
from rl_larnn.envs.datasets import Recorder
from rl_larnn.errors import UserError, one_line
from rl_larnn.files import locked, replace_folder

#: Episodes of an evaluation while training.
EVALUATION_EPISODES = 10


def train_behaviour(
    env: CollectionEnv,
    recipe: BehaviourRecipe,
    folder: Path,
    seed: int = 0,
    device: str = "cpu",
    reporter: Reporter = SILENT,
) -> TrainedBehaviour:
    """Train an agent and write a behaviour folder, or resume a training that was stopped.

    :param env: the environment; its mask is not used
    :param folder: the folder to write
    :raises UserError: if the folder exists, another process trains it, or nothing was learned
    """
    if folder.exists():
        raise UserError(f"the folder {folder} exists already: pass it with --agent, or take another --seed")
    part = folder.with_name(f".{folder.name}.part")
    part.mkdir(parents=True, exist_ok=True)
    with locked(part / ".lock", f"another process is training the behaviour in {part}: wait for it"):
        try:
            history = _train(env, recipe, part, seed, device, reporter)
            record = {"env": env.plain_id, "env_kwargs": dict(env.env_kwargs), "seed": seed, **_describe(recipe)}
            write = partial(write_behaviour, agents=part, history=history, env=env, record=record, seed=seed)
            os.rename(replace_folder(part, "whole", write), folder)
            shutil.rmtree(part)
        except NoUsableBehaviour:
            shutil.rmtree(part, ignore_errors=True)
            raise
        finally:
            if not has_checkpoint(part):
                shutil.rmtree(part, ignore_errors=True)
    trained = read_behaviour(folder)
    assert trained is not None
    return trained


def _train(
    env: CollectionEnv, recipe: BehaviourRecipe, folder: Path, seed: int, device: str, reporter: Reporter
) -> TrainingHistory:
    """Train to the end, from the checkpoint in the folder if there is one."""
    recording = RecordingCallback()
    envs = DummyVecEnv([lambda: Recorder(env.make(), recording.add) for _ in range(recipe.n_envs)])
    try:
        if has_checkpoint(folder):
            model, recording.history = _resume(recipe, envs, folder, seed, device)
        else:
            model = _build(recipe, envs, seed, device)
        history, total, done = recording.history, recipe.n_timesteps, model.num_timesteps
        evaluate = partial(agent_return, env, episodes=EVALUATION_EPISODES, seed=derived_seed(seed, 3))
        with reporter.progress(total, "steps", done) as bar:
            evaluation = EvaluationCallback(history, evaluate, folder, total, bar)
            if done < total:
                model.learn(total - done, callback=[recording, evaluation], reset_num_timesteps=not done)
                save_checkpoint(folder, model, history)  # measuring the references takes its time too
    except (ValueError, AssertionError, TypeError) as error:
        raise UserError(f"cannot train a behaviour with {recipe.algorithm}: {one_line(error)}") from error
    finally:
        envs.close()
    return history


def _resume(
    recipe: BehaviourRecipe, envs: DummyVecEnv, folder: Path, seed: int, device: str
) -> tuple[BaseAlgorithm, TrainingHistory]:
    """The model and the history at the checkpoint; agents that were saved after it are removed."""
    model, history = load_checkpoint(folder, ALGORITHMS[recipe.algorithm], envs, pick_device(device))
    if model.num_timesteps < recipe.n_timesteps:
        history.resumed_at.append(model.num_timesteps)
    known = {agent_file(steps) for steps, _ in history.evaluations}
    for path in folder.glob("*.zip"):
        if path.name not in known:
            path.unlink()
    set_random_seed(derived_seed(seed, 8, model.num_timesteps))
    return model, history


def _build(recipe: BehaviourRecipe, envs: DummyVecEnv, seed: int, device: str) -> BaseAlgorithm:
    policy = "CnnPolicy" if is_image_space(envs.observation_space) else "MlpPolicy"
    # Algorithms write into the dictionaries that they are given.
    arguments: dict[str, Any] = {
        key: value.schedule() if isinstance(value, Linear) else deepcopy(value)
        for key, value in recipe.arguments.items()
    }
    return ALGORITHMS[recipe.algorithm](policy, envs, seed=seed, device=pick_device(device), **arguments)


def _describe(recipe: BehaviourRecipe) -> dict[str, Any]:
    arguments = {key: str(value) if isinstance(value, Linear) else value for key, value in recipe.arguments.items()}
    return {**vars(recipe), "arguments": arguments}

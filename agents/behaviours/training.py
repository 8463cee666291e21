"""Training a behaviour that sees everything.

Until its folder is whole, a training lives in a hidden folder beside it; one that was stopped resumes from there.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.vec_env import DummyVecEnv

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
from rl_larnn.agents.reporting.reporter import SILENT, Bar, Reporter
from rl_larnn.agents.runs.checkpoint import CHECKPOINT_SECONDS, has_checkpoint, restore_generators, save_generators
from rl_larnn.agents.settings.environments import derived_seed
from rl_larnn.agents.settings.models import pick_device
from rl_larnn.agents.settings.values import Linear
from rl_larnn.envs.datasets import Episode, Recorder
from rl_larnn.errors import UserError, one_line
from rl_larnn.files import locked, replace_folder

#: Evaluations over a training, and episodes of each.
EVALUATIONS, EVALUATION_EPISODES = 50, 10


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


class TrainingCallback(BaseCallback):
    """Records the episodes that ended; saves and evaluates the agent :data:`EVALUATIONS` times; saves checkpoints.

    :param history: of the training; episodes and evaluations are added
    :param ended: where the environments leave their episodes, before the algorithm counts the step
    :param evaluate: from the file of an agent to its mean return
    :param folder: for the agents and the checkpoint
    :param total: steps of the training
    """

    def __init__(
        self,
        history: TrainingHistory,
        ended: list[Episode],
        evaluate: Callable[[Path], float],
        folder: Path,
        total: int,
        bar: Bar,
    ) -> None:
        super().__init__()
        self.history, self.ended, self.evaluate, self.folder, self.bar = history, ended, evaluate, folder, bar
        self.every = max(total // EVALUATIONS, 1)
        self._saved_time = time.monotonic()

    def _on_step(self) -> bool:
        self.history.episodes += [(self.num_timesteps, episode) for episode in self.ended]
        self.ended.clear()
        self.bar.reach(self.num_timesteps)
        if self.num_timesteps >= (len(self.history.evaluations) + 1) * self.every:
            self._evaluate()
            if time.monotonic() - self._saved_time >= CHECKPOINT_SECONDS:
                save_checkpoint(self.folder, self.model, self.history)
                self._saved_time = time.monotonic()
        return True

    def _evaluate(self) -> None:
        path = self.folder / agent_file(self.num_timesteps)
        self.model.save(path)
        # Loading seeds the generators, and an evaluation draws from them; training must not notice.
        generators = save_generators()
        mean_return = self.evaluate(path)
        restore_generators(generators)
        self.history.evaluations.append((self.num_timesteps, mean_return))
        self.bar.note(f"return {mean_return:.1f}")


def _train(
    env: CollectionEnv, recipe: BehaviourRecipe, folder: Path, seed: int, device: str, reporter: Reporter
) -> TrainingHistory:
    """Train to the end, from the checkpoint in the folder if there is one."""
    ended: list[Episode] = []
    envs = DummyVecEnv([lambda: Recorder(env.make(), ended.append) for _ in range(recipe.n_envs)])
    try:
        if has_checkpoint(folder):
            model, history = load_checkpoint(folder, recipe, envs, seed, device)
        else:
            model, history = _build(recipe, envs, seed, device), TrainingHistory()
        total, done = recipe.n_timesteps, model.num_timesteps
        evaluate = partial(agent_return, env, episodes=EVALUATION_EPISODES, seed=derived_seed(seed, 3))
        with reporter.progress(total, "steps", done) as bar:
            if done < total:
                callback = TrainingCallback(history, ended, evaluate, folder, total, bar)
                model.learn(total - done, callback, reset_num_timesteps=not done)
                save_checkpoint(folder, model, history)  # measuring the references takes its time too
    except (ValueError, AssertionError, TypeError) as error:
        raise UserError(f"cannot train a behaviour with {recipe.algorithm}: {one_line(error)}") from error
    finally:
        envs.close()
    return history


def _build(recipe: BehaviourRecipe, envs: DummyVecEnv, seed: int, device: str) -> BaseAlgorithm:
    policy = "CnnPolicy" if is_image_space(envs.observation_space) else "MlpPolicy"
    # Algorithms write into the dictionaries that they are given.
    given = deepcopy(dict(recipe.arguments)).items()
    arguments: dict[str, Any] = {key: value.schedule() if isinstance(value, Linear) else value for key, value in given}
    return ALGORITHMS[recipe.algorithm](policy, envs, seed=seed, device=pick_device(device), **arguments)


def _describe(recipe: BehaviourRecipe) -> dict[str, Any]:
    arguments = {key: str(value) if isinstance(value, Linear) else value for key, value in recipe.arguments.items()}
    return {**vars(recipe), "arguments": arguments}

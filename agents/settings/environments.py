"""Make the vectorised environments that agents are trained and evaluated on."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.wrappers import FlattenObservation, FrameStackObservation
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv, VecNormalize

from rl_larnn.agents.settings.recipes import Recipe
from rl_larnn.envs import FirstStepFlag, PreviousAction, ReturnToGo, StepNumber
from rl_larnn.errors import UserError, one_line

_CLASSES: dict[str, type[DummyVecEnv] | type[SubprocVecEnv]] = {"dummy": DummyVecEnv, "subproc": SubprocVecEnv}


def make_env(env_id: str, env_kwargs: Mapping[str, Any], recipe: Recipe, render_mode: str | None = None) -> gym.Env:
    """One environment with the wrappers of the recipe.

    :raises UserError: if it cannot be made: a missing extra, a wrong keyword argument
    """
    if multiprocessing.parent_process() is not None:
        # Ctrl-C reaches every process of the terminal; only the process that trains handles it.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    extra = {} if render_mode is None else {"render_mode": render_mode}
    try:
        return wrap_environment(gym.make(env_id, **{**env_kwargs, **extra}), recipe)
    except Exception as error:
        # An environment's constructor may raise anything.
        raise UserError(f"cannot make the environment {env_id}: {one_line(error)}") from error


def wrap_environment(env: gym.Env, recipe: Recipe) -> gym.Env:
    """The environment with the cues, return-to-go and stacked frames that the recipe adds to its observations."""
    if recipe.previous_action:
        env = PreviousAction(env)
    if recipe.first_step_flag:
        env = FirstStepFlag(env)
    if recipe.target_return is not None:
        env = ReturnToGo(env, recipe.target_return)
    if recipe.step_number is not None:
        env = StepNumber(env, recipe.step_number)
    if (frames := recipe.frame_stack) == 1:
        return env
    if not isinstance(env.observation_space, spaces.Box) or frames < 1:
        raise ValueError(f"frame_stack={frames} expected 1 or more frames of a Box, got {env.observation_space}")
    return FlattenObservation(FrameStackObservation(env, frames, padding_type="zero"))


def check_environment(env_id: str, env_kwargs: Mapping[str, Any]) -> tuple[spaces.Space, spaces.Space]:
    """Make the environment once in this process, where an error can be reported (a worker process would just die).

    :return: its observation space and action space
    :raises UserError: if it cannot be made
    """
    env = make_env(env_id, env_kwargs, Recipe())
    env.close()
    return env.observation_space, env.action_space


def reward_threshold(env_id: str) -> float | None:
    """The mean return that counts as solved, or ``None`` if the environment defines none."""
    spec = gym.spec(env_id.rpartition(":")[2])
    return None if spec.reward_threshold is None else float(spec.reward_threshold)


def make_environments(
    env_id: str,
    env_kwargs: Mapping[str, Any],
    recipe: Recipe,
    n_envs: int,
    seed: int,
    vec_env: str = "dummy",
    render_mode: str | None = None,
) -> VecEnv:
    """``n_envs`` parallel environments, monitored, with the seeds ``seed``, ``seed + 1`` and so on, not normalised.

    :param vec_env: ``dummy`` or ``subproc``
    :raises UserError: if they cannot be made
    """
    make = partial(make_env, env_id, env_kwargs, recipe, render_mode)
    try:
        return make_vec_env(make, n_envs=n_envs, seed=seed, vec_env_cls=_CLASSES[vec_env])
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"cannot run {n_envs} environments {env_id} side by side: {one_line(error)}") from error


def normalized(env: VecEnv, recipe: Recipe) -> VecEnv:
    """Environments with the running normalisation of the recipe; of observations only vectors of numbers have it."""
    space, keys = env.observation_space, None
    observations = recipe.normalize_observations and _is_vector(space)
    if isinstance(space, spaces.Dict) and recipe.normalize_observations:
        keys = [key for key, part in space.spaces.items() if _is_vector(part)] or None
        observations = keys is not None
    if not (observations or recipe.normalize_rewards):
        return env
    rewards = recipe.normalize_rewards
    return VecNormalize(env, norm_obs=observations, norm_reward=rewards, gamma=recipe.gamma, norm_obs_keys=keys)


def _is_vector(space: spaces.Space) -> bool:
    # A buffer stores observations in the dtype of their space: normalised whole numbers would be truncated.
    floats = isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.floating)
    return floats and not is_image_space(space)


def load_normalization(path: Path, env: VecEnv, training: bool) -> VecEnv:
    """Environments with saved normalisation; without a file they are returned unchanged.

    :param training: True: statistics are updated or not, as when they were saved (those of a dataset are not); False:
        they are frozen, and rewards are not scaled
    :raises UserError: if the file is truncated or belongs to another environment
    """
    if not path.exists():
        return env
    try:
        loaded = VecNormalize.load(str(path), env)
    except Exception as error:
        raise UserError(f"cannot load {path}: expected saved VecNormalize statistics, got {one_line(error)}") from error
    if not training:
        loaded.training = loaded.norm_reward = False
    return loaded


def derived_seed(seed: int, *purpose: int) -> int:
    """A seed for another purpose than training, unrelated to ``seed``, ``seed + 1`` and so on.

    :param purpose: numbers that identify the purpose
    """
    # Environments are seeded with the result plus their index, and Stable-Baselines3 needs 32 bits.
    return int(np.random.SeedSequence((seed, *purpose)).generate_state(1)[0] % 2**31)

"""Saving and loading the whole of a run in training: model, statistics, random numbers, account."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from rl_larnn.agents.runs.checkpoint import STATE, find_checkpoint, replace_checkpoint
from rl_larnn.agents.runs.folder import MODEL, NORMALIZATION
from rl_larnn.agents.runs.progress import Progress
from rl_larnn.agents.runs.randomness import derived_seed, restore_generators, save_generators
from rl_larnn.agents.settings.config import Settings
from rl_larnn.agents.settings.environments import load_normalization, make_environments
from rl_larnn.agents.settings.models import load_model
from rl_larnn.errors import UserError, one_line
from rl_larnn.files import read_json, replacing


@dataclass
class Session:
    """A run while it trains. ``folder`` is its run folder."""

    folder: Path
    settings: Settings
    model: OnPolicyAlgorithm
    env: VecEnv
    progress: Progress


def save_model(model: OnPolicyAlgorithm, folder: Path) -> None:
    """Write ``model.zip`` and, where the environments are normalised, ``vecnormalize.pkl``."""
    with replacing(folder / MODEL) as temporary:
        # Given an open file, Stable-Baselines3 adds no suffix to its name.
        with temporary.open("wb") as file:
            model.save(file)
    normalizer = model.get_vec_normalize_env()  # which may lie under others of Stable-Baselines3's wrappers
    if normalizer is not None:
        with replacing(folder / NORMALIZATION) as temporary:
            normalizer.save(str(temporary))


def save_checkpoint(session: Session) -> Path:
    """Replace the checkpoint of the run by one of this moment."""
    state = {
        "steps": session.model.num_timesteps,
        "progress": session.progress.to_json(),
        "generators": save_generators(),
        "pending": _pending_records(session.model),
    }

    def write(folder: Path) -> None:
        save_model(session.model, folder)
        (folder / STATE).write_text(json.dumps(state), encoding="utf-8")

    return replace_checkpoint(session.folder, write)


def _pending_records(model: OnPolicyAlgorithm) -> list[list[Any]]:
    """What the last update recorded for the next line of the log, which is only written a rollout later."""
    excluded, records = model.logger.name_to_excluded, model.logger.name_to_value.items()
    numbers = {key: np.asarray(value).item() for key, value in records if np.isscalar(value)}
    return [[key, value, excluded[key]] for key, value in numbers.items()]


def load_checkpoint(folder: Path, settings: Settings) -> Session:
    """The run as it was at its last checkpoint; its environments begin fresh episodes.

    :raises UserError: if the checkpoint is missing, truncated or foreign
    """
    checkpoint = find_checkpoint(folder)
    state = read_json(checkpoint / STATE, "the state of a run")
    # The first episodes of the run must not come again, nor may two sessions from one checkpoint differ.
    seed = derived_seed(settings.seed, int(state.get("steps", 0)), 1)
    recipe = settings.recipe
    env = make_environments(settings.env, settings.env_kwargs, recipe, recipe.n_envs, seed, settings.vec_env)
    try:
        env = load_normalization(checkpoint / NORMALIZATION, env, training=True)
        model = load_model(checkpoint / MODEL, env, settings.device, settings.algorithm)
        # Loading seeds everything as at the beginning of the run.
        env.seed(seed)
        _restore(model, state)
        return Session(folder, settings, model, env, Progress.from_json(state["progress"]))
    except (KeyError, TypeError, ValueError) as error:
        env.close()
        if isinstance(error, UserError):
            raise
        raise UserError(
            f"cannot read {checkpoint / STATE}: expected the state of a run, got a foreign file ({one_line(error)})"
        ) from error


def _restore(model: OnPolicyAlgorithm, state: dict[str, Any]) -> None:
    restore_generators(state["generators"])
    model.num_timesteps = int(state["steps"])


def restore_pending(model: OnPolicyAlgorithm, folder: Path) -> None:
    """Record again what the checkpoint's last update had recorded, once the model has its logger."""
    for key, value, excluded in read_json(find_checkpoint(folder) / STATE, "the state of a run")["pending"]:
        model.logger.record(key, value, exclude=tuple(excluded) if isinstance(excluded, list) else excluded)

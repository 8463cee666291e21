"""Saving and loading the whole of an offline run in training: model, batches, carried memory, account."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError

import torch
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from rl_larnn.agents.offline.config import DataFacts, OfflineSettings, load_data
from rl_larnn.agents.offline.learner import OfflineLearner
from rl_larnn.agents.offline.seen import fit_statistics
from rl_larnn.agents.recurrent_ppo import RecurrentPPO
from rl_larnn.agents.runs import settings_file
from rl_larnn.agents.runs.checkpoint import STATE, find_checkpoint, replace_checkpoint
from rl_larnn.agents.runs.folder import CONFIG, MODEL, NORMALIZATION, OFFLINE
from rl_larnn.agents.runs.progress import Progress
from rl_larnn.agents.runs.randomness import derived_seed, restore_generators, save_generators
from rl_larnn.agents.runs.state import save_model
from rl_larnn.agents.settings.environments import load_normalization, make_environments, normalized
from rl_larnn.agents.settings.models import build_model, load_model
from rl_larnn.errors import UserError, one_line
from rl_larnn.files import read_json
from rl_larnn.state import pack, unpack
from rl_larnn.upstream import PolicyState

_MEMORY = "memory.pt"


@dataclass
class OfflineSession:
    """An offline run while it trains. ``env`` is where the agent is tried."""

    folder: Path
    settings: OfflineSettings
    learner: OfflineLearner
    env: VecEnv
    progress: Progress


def new_session(folder: Path, settings: OfflineSettings) -> OfflineSession:
    """A run at its beginning; the folder is not touched."""
    env = _environments(settings)
    dataset = load_data(settings)
    env = normalized(env, settings.run.recipe)
    if isinstance(env, VecNormalize):
        fit_statistics(env, dataset, settings.run.recipe, settings.run.recipe.gamma)
        env.training = False
    model = build_model(settings.run.recipe, env, settings.run.seed, settings.run.device)
    assert isinstance(model, RecurrentPPO)
    learner = OfflineLearner(model, dataset, settings.run.recipe, settings.plan, derived_seed(settings.run.seed, 3))
    return OfflineSession(folder, settings, learner, env, Progress())


def _environments(settings: OfflineSettings) -> VecEnv:
    run, seed = settings.run, derived_seed(settings.run.seed, 2)
    return make_environments(run.env, run.env_kwargs, run.recipe, run.recipe.n_envs, seed, run.vec_env)


def save_checkpoint(session: OfflineSession) -> Path:
    """Replace the checkpoint of the run by one of this moment."""
    learner = session.learner
    state = {
        "updates": learner.updates,
        "sampler": learner.sampler.state(),
        "progress": session.progress.to_json(),
        "generators": save_generators(),
    }

    def write(folder: Path) -> None:
        save_model(learner.model, folder)
        if learner.state is not None:
            torch.save(pack(learner.state), folder / _MEMORY)
        (folder / STATE).write_text(json.dumps(state), encoding="utf-8")

    return replace_checkpoint(session.folder, write)


def load_settings(folder: Path) -> OfflineSettings:
    """The settings of an offline run.

    :raises UserError: if there is no run there, it was trained online, or its ``config.json`` is damaged
    """
    run = settings_file.load_settings(folder)
    data = read_json(folder / CONFIG, "the settings of a run")
    if OFFLINE not in data:
        raise UserError(f"{folder} was trained online: continue it with train_agent.py --resume {folder}")
    try:
        return OfflineSettings.from_json(run, data[OFFLINE])
    except (KeyError, TypeError, AttributeError, UserError) as error:
        raise UserError(
            f"cannot read {folder / CONFIG}: expected the settings of a run, got a foreign file ({one_line(error)})"
        ) from error


def data_facts(folder: Path) -> DataFacts | None:
    """What a run knows of its data, or ``None`` of a run that was trained online."""
    if OFFLINE not in read_json(folder / CONFIG, "the settings of a run"):
        return None
    return load_settings(folder).facts


def load_checkpoint(folder: Path, settings: OfflineSettings) -> OfflineSession:
    """The run as it was at its last checkpoint.

    :raises UserError: if the checkpoint is missing, truncated or foreign
    """
    checkpoint = find_checkpoint(folder)
    state = read_json(checkpoint / STATE, "the state of a run")
    run, dataset = settings.run, load_data(settings)
    env = _environments(settings)
    try:
        env = load_normalization(checkpoint / NORMALIZATION, env, training=False)
        model = load_model(checkpoint / MODEL, env, run.device, run.algorithm)
        assert isinstance(model, RecurrentPPO)
        learner = OfflineLearner(model, dataset, run.recipe, settings.plan, derived_seed(run.seed, 3))
        learner.updates = int(state["updates"])
        learner.sampler.restore(state["sampler"])
        learner.state = _memory(checkpoint, model)
        restore_generators(state["generators"])
        return OfflineSession(folder, settings, learner, env, Progress.from_json(state["progress"]))
    except (KeyError, TypeError, ValueError, RuntimeError, EOFError, UnpicklingError) as error:
        env.close()
        if isinstance(error, UserError):
            raise
        raise UserError(
            f"cannot read {checkpoint / STATE}: expected the state of a run, got a foreign file ({one_line(error)})"
        ) from error


def _memory(checkpoint: Path, model: RecurrentPPO) -> PolicyState | None:
    if not (checkpoint / _MEMORY).exists():
        return None
    packed = torch.load(checkpoint / _MEMORY, map_location=model.device, weights_only=True)
    state = unpack(packed, model.policy.initial_state(1))
    assert isinstance(state, PolicyState)
    return state

"""The training of a behaviour as it stands now and then, so that a kill costs minutes and not hours."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from rl_larnn.agents.behaviours.callbacks import Training
from rl_larnn.agents.runs.checkpoint import find_checkpoint, replace_checkpoint
from rl_larnn.agents.runs.folder import MODEL

_TRAINING, _BUFFER = "training.pkl", "replay_buffer.pkl"


def keep(folder: Path, model: BaseAlgorithm, training: Training) -> None:
    """Replace what is kept in a folder by this moment."""

    def write(new: Path) -> None:
        model.save(new / MODEL)
        if isinstance(model, OffPolicyAlgorithm):
            model.save_replay_buffer(new / _BUFFER)
        (new / _TRAINING).write_bytes(pickle.dumps(training))

    replace_checkpoint(folder, write)


def pick_up(
    folder: Path, algorithm: type[BaseAlgorithm], env: VecEnv, device: torch.device
) -> tuple[BaseAlgorithm, Training]:
    """The model and the story of the training, as they were kept. Episodes that were under way begin anew."""
    checkpoint = find_checkpoint(folder)
    model = algorithm.load(checkpoint / MODEL, env=env, device=device)
    if isinstance(model, OffPolicyAlgorithm):
        model.load_replay_buffer(checkpoint / _BUFFER)
    training: Training = pickle.loads((checkpoint / _TRAINING).read_bytes())
    return model, training

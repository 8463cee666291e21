"""The checkpoint of a behaviour's training, from which it resumes after it was stopped."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.utils import set_random_seed
from stable_baselines3.common.vec_env import VecEnv

from rl_larnn.agents.behaviours.recipes import ALGORITHMS, BehaviourRecipe
from rl_larnn.agents.runs.checkpoint import find_checkpoint, replace_checkpoint
from rl_larnn.agents.runs.folder import MODEL
from rl_larnn.agents.settings.environments import derived_seed
from rl_larnn.agents.settings.models import pick_device
from rl_larnn.envs.datasets import Episode

_HISTORY, _BUFFER = "training.pkl", "replay_buffer.pkl"

#: Names of attributes in checkpoints of earlier revisions, and what they are called now.
_EARLIER_NAMES = {"trials": "evaluations", "tape": "episodes"}


@dataclass
class TrainingHistory:
    """What happened in a training so far.

    :param evaluations: step and mean return of each evaluation
    :param episodes: the step after which each training episode ended, and the episode
    :param resumed_at: the steps at which training was resumed
    """

    evaluations: list[tuple[int, float]] = field(default_factory=list)
    episodes: list[tuple[int, Episode]] = field(default_factory=list)
    resumed_at: list[int] = field(default_factory=list)

    def __setstate__(self, state: dict[str, Any]) -> None:
        known = {_EARLIER_NAMES.get(name, name): value for name, value in state.items()}
        known.pop("untimed", None)  # an empty list of earlier revisions
        self.__dict__.update(known)


#: Module and name of classes in checkpoints of earlier revisions.
_EARLIER_CLASSES = {
    ("rl_larnn.agents.collecting.watching", "Training"): TrainingHistory,
    ("rl_larnn.envs.datasets.episode", "Episode"): Episode,
}


class _Unpickler(pickle.Unpickler):
    """Finds classes also where earlier revisions had them."""

    def find_class(self, module: str, name: str) -> Any:
        return _EARLIER_CLASSES.get((module, name)) or super().find_class(module, name)


def agent_file(steps: int) -> str:
    """The name of the file of the agent after so many steps of training, beside the checkpoint."""
    return f"{steps}.zip"


def save_checkpoint(folder: Path, model: BaseAlgorithm, history: TrainingHistory) -> None:
    """Replace the checkpoint in a folder."""

    def write(new: Path) -> None:
        model.save(new / MODEL)
        if isinstance(model, OffPolicyAlgorithm):
            model.save_replay_buffer(new / _BUFFER)
        (new / _HISTORY).write_bytes(pickle.dumps(history))

    replace_checkpoint(folder, write)


def load_checkpoint(
    folder: Path, recipe: BehaviourRecipe, env: VecEnv, seed: int, device: str
) -> tuple[BaseAlgorithm, TrainingHistory]:
    """The model and the history at the checkpoint; agents that were saved after it are removed.

    Episodes that were unfinished then start anew.

    :raises UserError: if there is no checkpoint
    """
    checkpoint = find_checkpoint(folder)
    model = ALGORITHMS[recipe.algorithm].load(checkpoint / MODEL, env=env, device=pick_device(device))
    if isinstance(model, OffPolicyAlgorithm):
        model.load_replay_buffer(checkpoint / _BUFFER)
    history = read_history(checkpoint / _HISTORY)
    if model.num_timesteps < recipe.n_timesteps:
        history.resumed_at.append(model.num_timesteps)
    known = {agent_file(steps) for steps, _ in history.evaluations}
    for path in folder.glob("*.zip"):
        if path.name not in known:
            path.unlink()
    set_random_seed(derived_seed(seed, 8, model.num_timesteps))
    return model, history


def read_history(path: Path) -> TrainingHistory:
    """Read a history that this or an earlier revision wrote."""
    with path.open("rb") as file:
        history: TrainingHistory = _Unpickler(file).load()
    return history

"""Building and loading the model of a run: the one place that hands settings to an algorithm."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.vec_env import VecEnv
from torch import nn

from rl_larnn.agents.algorithms import ALGORITHMS
from rl_larnn.agents.settings.recipes import Recipe
from rl_larnn.agents.settings.values import Linear
from rl_larnn.errors import UserError, one_line
from rl_larnn.memories import find_memory

#: Activation functions by the name that a recipe uses.
ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "leaky_relu": nn.LeakyReLU,
}


def pick_device(name: str) -> torch.device:
    """The device behind ``auto``, ``cpu``, ``cuda`` or ``cuda:<index>``.

    :raises UserError: if it is none of these, or a GPU that torch does not see
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda"):
        raise UserError(f"expected the device auto, cpu, cuda or cuda:<index>, got {name!r}")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise UserError(f"the device {name} was asked for, but torch sees {count} CUDA GPUs here; use --device cpu")
    return device


def policy_name(observation_space: spaces.Space, algorithm: str) -> str:
    """The alias of the algorithm's policy that reads these observations."""
    suffix = ALGORITHMS[algorithm].policy_suffix
    if isinstance(observation_space, spaces.Dict):
        return f"MultiInput{suffix}"
    return f"Cnn{suffix}" if is_image_space(observation_space) else f"Mlp{suffix}"


def policy_arguments(recipe: Recipe) -> dict[str, Any]:
    """The policy's keyword arguments: classes in place of names, the memory and its options added."""
    arguments = dict(recipe.policy)
    if "activation_fn" in arguments:
        arguments["activation_fn"] = ACTIVATIONS[arguments["activation_fn"]]
    memory = recipe.memory if recipe.memory is None or ":" not in recipe.memory else find_memory(recipe.memory)
    return ALGORITHMS[recipe.algorithm].policy_arguments(arguments, memory, recipe.memory_options)


def build_model(recipe: Recipe, env: VecEnv, seed: int, device: str) -> OnPolicyAlgorithm:
    """A fresh model for a recipe whose memory options are already chosen.

    :raises UserError: whatever the model refuses (sizes that do not divide, unsupported spaces, bad values)
    """
    try:
        return ALGORITHMS[recipe.algorithm].learner(
            policy_name(env.observation_space, recipe.algorithm),
            env,
            **_schedules(recipe.arguments),
            policy_kwargs=policy_arguments(recipe),
            seed=seed,
            device=pick_device(device),
        )
    except UserError:
        raise
    except (ValueError, AssertionError, TypeError, NotImplementedError, RuntimeError, ZeroDivisionError) as error:
        raise UserError(f"cannot build the model: {one_line(error)}") from error


def _schedules(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value.schedule() if isinstance(value, Linear) else value for key, value in arguments.items()}


def load_model(path: Path, env: VecEnv | None, device: str, algorithm: str) -> OnPolicyAlgorithm:
    """Load a saved model, and give it environments if it is to go on learning.

    :param algorithm: the run's, a name of :data:`rl_larnn.agents.algorithms.ALGORITHMS`
    :raises UserError: if the file is missing, truncated or not a model of this library
    """
    chosen, learner = pick_device(device), ALGORITHMS[algorithm].learner
    try:
        return learner.load(path, env=env, device=chosen)
    except Exception as error:
        # A foreign or cut file fails in as many ways as zip, JSON, pickle and torch know.
        expected = f"{learner.__module__.split('.')[0]}'s {learner.__name__}"
        raise UserError(f"cannot load {path}: expected a model saved by {expected}, got {one_line(error)}") from error

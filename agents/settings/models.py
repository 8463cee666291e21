"""Build and load the model of a run."""

from __future__ import annotations

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
ACTIVATIONS: dict[str, type[nn.Module]] = dict(
    relu=nn.ReLU, tanh=nn.Tanh, elu=nn.ELU, gelu=nn.GELU, silu=nn.SiLU, leaky_relu=nn.LeakyReLU
)


def pick_device(name: str) -> torch.device:
    """The device named ``auto``, ``cpu``, ``cuda`` or ``cuda:<index>``.

    :raises UserError: for any other name, and for a GPU that torch does not see
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda"):
        raise UserError(f"expected the device auto, cpu, cuda or cuda:<index>, got {name!r}")
    count = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= count:
        raise UserError(f"the device {name} does not exist: torch sees {count} CUDA GPUs here; use --device cpu")
    return device


def _policy_name(observation_space: spaces.Space, algorithm: str) -> str:
    """The alias of the algorithm's policy for these observations."""
    suffix = ALGORITHMS[algorithm].policy_suffix
    if isinstance(observation_space, spaces.Dict):
        return f"MultiInput{suffix}"
    return f"Cnn{suffix}" if is_image_space(observation_space) else f"Mlp{suffix}"


def policy_arguments(recipe: Recipe) -> dict[str, Any]:
    """The policy's keyword arguments, with classes in place of names, and with the memory and its options."""
    arguments = dict(recipe.policy)
    if "activation_fn" in arguments:
        arguments["activation_fn"] = ACTIVATIONS[arguments["activation_fn"]]
    memory = recipe.memory if recipe.memory is None or ":" not in recipe.memory else find_memory(recipe.memory)
    return ALGORITHMS[recipe.algorithm].policy_arguments(arguments, memory, recipe.memory_options)


def build_model(recipe: Recipe, env: VecEnv, seed: int, device: str) -> OnPolicyAlgorithm:
    """A new model.

    :param recipe: after :func:`rl_larnn.agents.settings.overrides.apply_settings`
    :raises UserError: for all that the model refuses: sizes that do not divide, unsupported spaces, values out of range
    """
    arguments: dict[str, Any] = {
        key: value.schedule() if isinstance(value, Linear) else value for key, value in recipe.arguments.items()
    }
    try:
        return ALGORITHMS[recipe.algorithm].learner(
            _policy_name(env.observation_space, recipe.algorithm),
            env,
            **arguments,
            policy_kwargs=policy_arguments(recipe),
            seed=seed,
            device=pick_device(device),
        )
    except UserError:
        raise
    except (ValueError, AssertionError, TypeError, NotImplementedError, RuntimeError, ZeroDivisionError) as error:
        raise UserError(f"cannot build the model: {one_line(error)}") from error


def load_model(path: Path, env: VecEnv | None, device: str, algorithm: str) -> OnPolicyAlgorithm:
    """Load a saved model.

    :param env: environments to continue the training in, or None
    :param algorithm: the run's, a name of :data:`rl_larnn.agents.algorithms.ALGORITHMS`
    :raises UserError: if the file is missing, truncated or not a model of this library
    """
    chosen, learner = pick_device(device), ALGORITHMS[algorithm].learner
    try:
        return learner.load(path, env=env, device=chosen)
    except Exception as error:
        # A foreign or truncated file raises any error of zip, JSON, pickle or torch.
        expected = f"{learner.__module__.split('.')[0]}'s {learner.__name__}"
        raise UserError(f"cannot load {path}: expected a model saved by {expected}, got {one_line(error)}") from error

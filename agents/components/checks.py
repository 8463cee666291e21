"""Checks of the options and the data of RecurrentPPO. Each error is one line that names what was expected."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.torch_layers import FlattenExtractor
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs
from torch import Tensor

from rl_larnn.policies import POLICY_ALIASES, MemoryActorCriticPolicy

#: Largest default length of a chunk.
DEFAULT_SEQ_LEN = 32
#: A shorter default chunk gives a warning.
SHORT_SEQ_LEN = 8

#: Spaces of actions, and of observations or the parts of a Dict.
SUPPORTED_SPACES = (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)

#: Smallest value of each option that has one.
_SMALLEST = dict(kickstart_coef=0, min_advantage_std=0, n_steps=1, batch_size=1, n_epochs=1)


class NonFiniteError(ValueError):
    """NaN or infinity in the data or the losses; training stops before they reach the policy."""


def all_finite(parameters: Iterable[Tensor]) -> bool:
    """Whether all numbers are finite, with one transfer from the device."""
    return bool(torch.stack([parameter.isfinite().all() for parameter in parameters]).all())


def check_finite(obs: VecEnvObs, rewards: np.ndarray, steps: int) -> None:
    """Check what the environments returned.

    :param obs: observations of E environments
    :param rewards: ``(E,)``
    :param steps: environment steps so far, for the message
    :raises NonFiniteError: at a NaN or infinity, naming the environment
    """
    parts = {f"observation {key!r}": part for key, part in obs.items()} if isinstance(obs, dict) else None
    for what, values in {"reward": rewards, **(parts or {"observation": np.asarray(obs)})}.items():
        if np.issubdtype(values.dtype, np.floating) and not np.isfinite(values).all():
            bad = int(np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(axis=1))[0])
            found = values[bad].tolist() if values[bad].size <= 8 else "an array with NaN or infinity"
            raise NonFiniteError(
                f"environment {bad} returned a {what} that is not finite ({found}) at step {steps}; "
                "fix the environment or clip what it returns"
            )


def choose_seq_len(seq_len: int | None, n_steps: int, batch_size: int) -> int:
    """The chunk length in steps: the given one, or the largest common divisor of the sizes up to the default.

    :raises ValueError: unless ``n_steps`` and ``batch_size`` are multiples of it; names the nearest valid numbers
    """
    if seq_len is None:
        largest = max(d for d in range(1, DEFAULT_SEQ_LEN + 1) if n_steps % d == 0 and batch_size % d == 0)
        if largest < min(SHORT_SEQ_LEN, n_steps):
            warnings.warn(
                f"gradients reach back {largest} steps only, because n_steps={n_steps} and batch_size={batch_size} "
                f"have no larger common divisor up to {DEFAULT_SEQ_LEN}; choose numbers that have, or seq_len itself",
                stacklevel=2,
            )
        return largest
    if seq_len < 1:
        raise ValueError(f"seq_len must be at least 1, got {seq_len}")
    for name, size in (("n_steps", n_steps), ("batch_size", batch_size)):
        if size % seq_len:
            multiples = [m for m in (size // seq_len * seq_len, (size // seq_len + 1) * seq_len) if m]
            divisors = sorted((d for d in range(1, size + 1) if size % d == 0), key=lambda d: abs(d - seq_len))[:2]
            raise ValueError(
                f"{name} must be a multiple of seq_len, got {name}={size} and seq_len={seq_len}; nearest: "
                f"{name}={' or '.join(map(str, multiples))}, or seq_len={' or '.join(map(str, sorted(divisors)))}"
            )
    return seq_len


def check_options(model: Any) -> None:
    """Check the options and spaces of a RecurrentPPO.

    :raises ValueError: for a value out of range, and a space that the policies do not support
    """
    check_spaces(model.observation_space, model.action_space)
    for name, smallest in _SMALLEST.items():
        value = getattr(model, name)
        if value is not None and not callable(value) and not value >= smallest:
            raise ValueError(f"{name} must be at least {smallest}, got {value}")
    if model.min_advantage_std and not model.normalize_advantage:
        raise ValueError("min_advantage_std has no effect without normalize_advantage: leave one of them out")
    clip_range_vf = model.clip_range_vf
    if isinstance(clip_range_vf, float | int) and clip_range_vf <= 0:
        raise ValueError(f"clip_range_vf must be positive, or None for no clipping, got {clip_range_vf}")


#: Options of earlier revisions that no measurement supported, and the value that means "not used".
REMOVED_OPTIONS = {"memory_learning_rate": None, "refresh_states": False, "min_entropy": None}


def check_removed_options(model: Any) -> None:
    """:raises ValueError: if a loaded agent was trained with an option that was removed; such an agent can only act."""
    for name, unused in REMOVED_OPTIONS.items():
        if (value := getattr(model, name, unused)) != unused:
            raise ValueError(
                f"this agent was trained with {name}={value}, an option that was removed: to train it without, load it "
                f"with {name}={unused}"
            )


def check_policy(policy: object, observation_space: spaces.Space) -> MemoryActorCriticPolicy:
    """Return the policy if it fits.

    :raises ValueError: for a policy without a memory, and for one that cannot read a Dict if observations are one
    """
    if not isinstance(policy, MemoryActorCriticPolicy):
        raise ValueError(
            f"policy must be one of {', '.join(POLICY_ALIASES)} or a subclass of MemoryActorCriticPolicy, "
            f"got {type(policy).__name__}"
        )
    if isinstance(observation_space, spaces.Dict) and isinstance(policy.features_extractor, FlattenExtractor):
        raise ValueError(
            "observations are a Dict, which the features extractor of this policy cannot read: take one of "
            f"{', '.join(name for name in POLICY_ALIASES if name.startswith('MultiInput'))}"
        )
    return policy


def check_spaces(observation_space: spaces.Space, action_space: spaces.Space) -> None:
    """:raises ValueError: for a space that the policies do not support."""
    parts = observation_space.spaces if isinstance(observation_space, spaces.Dict) else {"": observation_space}
    names = "Box, Discrete, MultiDiscrete, MultiBinary"
    for key, space in parts.items():
        if not isinstance(space, SUPPORTED_SPACES):
            where = f" at key {key!r}" if key else ""
            raise ValueError(
                f"observations must be {names} or a Dict of these, got {type(space).__name__}{where}; "
                "gymnasium.wrappers.FlattenObservation turns most spaces into a Box"
            )
    if not isinstance(action_space, SUPPORTED_SPACES):
        raise ValueError(f"actions must be {names}, got {type(action_space).__name__}")
    for what, space in (*(("observations", part) for part in parts.values()), ("actions", action_space)):
        if isinstance(space, spaces.Discrete | spaces.MultiDiscrete) and np.any(space.start):
            raise ValueError(f"{what} must be counted from 0, as Stable-Baselines3 does, got {space}")

"""Wrappers that show an agent what the observation leaves out: its previous action, and the start of an episode."""

from typing import Any, SupportsFloat

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs

from rl_larnn.envs.spaces import as_float32
from rl_larnn.envs.wrappers.joining import Cue


class PreviousAction(Cue, RecordConstructorArgs):
    """Shows the agent its previous action; zeros after a reset.

    Discrete and MultiDiscrete actions are one-hot, MultiBinary ones are bits. Box values are clipped to their bounds
    and scaled to -1 to 1; unbounded ones do not change. In a Dict the key is "previous_action", shape (A,).

    :raises TypeError: the action space has no vector form of fixed size
    """

    def __init__(self, env: gym.Env):
        RecordConstructorArgs.__init__(self)
        actions = env.action_space
        if not actions.is_np_flattenable:
            raise TypeError(f"PreviousAction expected actions of fixed size (Box, Discrete, ...), got {actions}")
        Cue.__init__(self, env, "previous_action", action_cue_space(actions))
        self._nothing = np.zeros(action_cue_space(actions).shape, np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        observation, info = self.env.reset(seed=seed, options=options)
        return self._join(observation, self._nothing.copy()), info

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        cue = action_cues(self.env.action_space, np.asarray(action))
        return self._join(observation, cue), reward, terminated, truncated, info


def action_cue_space(actions: gym.Space) -> spaces.Box:
    """Return the space of what ``action_cues`` makes of one action."""
    flat = spaces.flatten_space(actions)
    assert isinstance(flat, spaces.Box)
    if not isinstance(actions, spaces.Box):
        return as_float32(flat)
    bounded = _bounded(actions).reshape(-1)
    # Zero stands for "no action yet" and must lie in the space.
    low = np.where(bounded, -1, np.minimum(flat.low, 0)).astype(np.float32)
    high = np.where(bounded, 1, np.maximum(flat.high, 0)).astype(np.float32)
    return spaces.Box(low, high, dtype=np.float32)


def action_cues(space: gym.Space, actions: np.ndarray) -> np.ndarray:
    """Turn actions into cues as :class:`PreviousAction` does: from (..., *shape) to (..., A) float32."""
    if isinstance(space, spaces.Box):
        return _scaled(space, actions).reshape(*actions.shape[: actions.ndim - len(space.shape)], -1)
    if isinstance(space, spaces.Discrete):
        return _one_hot(actions - space.start, int(space.n))
    if isinstance(space, spaces.MultiDiscrete) and len(space.shape) == 1:
        columns = np.moveaxis(actions - space.start, -1, 0)
        parts = [_one_hot(column, int(n)) for column, n in zip(columns, space.nvec, strict=True)]
        return np.concatenate(parts, axis=-1)
    # Rarer spaces one by one.
    each = actions.reshape(-1, *(space.shape or ()))
    flat = np.stack([np.asarray(spaces.flatten(space, action), np.float32) for action in each])
    return flat.reshape(*actions.shape[: actions.ndim - len(space.shape or ())], -1)


def _one_hot(choices: np.ndarray, number: int) -> np.ndarray:
    return (choices[..., None] == np.arange(number)).astype(np.float32)


def _scaled(space: spaces.Box, actions: np.ndarray) -> np.ndarray:
    bounded = _bounded(space)
    low, high = np.where(bounded, space.low, -1.0), np.where(bounded, space.high, 1.0)
    centre, half_range = (high + low) / 2, np.where(high > low, (high - low) / 2, 1.0)
    scaled = np.clip((actions - centre) / half_range, -1, 1)
    return np.where(bounded, scaled, actions).astype(np.float32)


def _bounded(actions: spaces.Box) -> np.ndarray:
    return actions.bounded_below & actions.bounded_above


class FirstStepFlag(Cue, RecordConstructorArgs):
    """Marks the observation that reset returns with 1.0, all others with 0.0. In a Dict: "first_step", shape (1,)."""

    def __init__(self, env: gym.Env):
        RecordConstructorArgs.__init__(self)
        Cue.__init__(self, env, "first_step", spaces.Box(0.0, 1.0, (1,), np.float32))

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        observation, info = self.env.reset(seed=seed, options=options)
        return self._join(observation, np.ones(1, np.float32)), info

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        return self._join(observation, np.zeros(1, np.float32)), reward, terminated, truncated, info

"""Wrappers that tell a memory what it could not know otherwise: its previous action, and that an episode began.

A vector observation (Box of shape (n,)) grows by the cue and stays a float32 vector. Every other observation becomes a
Dict: the original under the key "observation" (a Dict keeps its own keys), the cue under "previous_action" or
"first_step".
"""

from typing import Any, SupportsFloat

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs

from rl_larnn.envs.spaces import as_float32, is_vector


class _Cue(gym.Wrapper):
    """Joins one small vector, the cue, to every observation."""

    def __init__(self, env: gym.Env, key: str, cue_space: spaces.Box):
        super().__init__(env)
        self._key = key
        self.observation_space = _joined_space(env.observation_space, key, cue_space)

    def _join(self, observation: Any, cue: np.ndarray) -> Any:
        space = self.env.observation_space
        if is_vector(space):
            return np.concatenate([observation, cue], dtype=np.float32)
        parts = observation if isinstance(space, spaces.Dict) else {"observation": observation}
        return {**parts, self._key: cue}


def _joined_space(space: gym.Space, key: str, cue: spaces.Box) -> spaces.Space:
    if is_vector(space):
        vector = as_float32(space)
        low, high = np.concatenate([vector.low, cue.low]), np.concatenate([vector.high, cue.high])
        return spaces.Box(low, high, dtype=np.float32)
    parts = dict(space.spaces) if isinstance(space, spaces.Dict) else {"observation": space}
    if key in parts:
        raise ValueError(f"the observation already has a part named {key!r}: {sorted(parts)}; apply the wrapper once")
    return spaces.Dict({**parts, key: cue})


class PreviousAction(_Cue, RecordConstructorArgs):
    """Shows the agent the action it took last; zeros after a reset.

    Discrete and MultiDiscrete actions appear one-hot, MultiBinary as its bits, Box values scaled from their bounds to
    -1 to 1 (clipped to the bounds), or raw where they have none. In a Dict the key is "previous_action", shape (A,).

    Raises:
        TypeError: the action space has no vector form of fixed size.
    """

    def __init__(self, env: gym.Env):
        RecordConstructorArgs.__init__(self)
        actions = env.action_space
        if not actions.is_np_flattenable:
            raise TypeError(f"PreviousAction expected actions of fixed size (Box, Discrete, ...), got {actions}")
        cue_space = _action_cue_space(actions)
        _Cue.__init__(self, env, "previous_action", cue_space)
        self._nothing = np.zeros(cue_space.shape, np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        observation, info = self.env.reset(seed=seed, options=options)
        return self._join(observation, self._nothing.copy()), info

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        cue = _action_cue(self.env.action_space, action)
        return self._join(observation, cue), reward, terminated, truncated, info


def _action_cue_space(actions: gym.Space) -> spaces.Box:
    flat = spaces.flatten_space(actions)
    assert isinstance(flat, spaces.Box)
    if not isinstance(actions, spaces.Box):
        return as_float32(flat)
    bounded = _bounded(actions).reshape(-1)
    # Zero stands for "no action yet" and must lie inside, whatever the raw bounds are.
    low = np.where(bounded, -1, np.minimum(flat.low, 0)).astype(np.float32)
    high = np.where(bounded, 1, np.maximum(flat.high, 0)).astype(np.float32)
    return spaces.Box(low, high, dtype=np.float32)


def _action_cue(actions: gym.Space, action: Any) -> np.ndarray:
    if not isinstance(actions, spaces.Box):
        return np.asarray(spaces.flatten(actions, action), np.float32)
    bounded = _bounded(actions)
    low, high = np.where(bounded, actions.low, -1.0), np.where(bounded, actions.high, 1.0)
    centre, half_range = (high + low) / 2, np.where(high > low, (high - low) / 2, 1.0)
    scaled = np.clip((np.asarray(action) - centre) / half_range, -1, 1)
    return np.where(bounded, scaled, action).astype(np.float32).reshape(-1)


def _bounded(actions: spaces.Box) -> np.ndarray:
    return actions.bounded_below & actions.bounded_above


class FirstStepFlag(_Cue, RecordConstructorArgs):
    """Marks the observation that reset returns with 1.0, all others with 0.0. In a Dict: "first_step", shape (1,)."""

    def __init__(self, env: gym.Env):
        RecordConstructorArgs.__init__(self)
        _Cue.__init__(self, env, "first_step", spaces.Box(0.0, 1.0, (1,), np.float32))

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        observation, info = self.env.reset(seed=seed, options=options)
        return self._join(observation, np.ones(1, np.float32)), info

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        return self._join(observation, np.zeros(1, np.float32)), reward, terminated, truncated, info

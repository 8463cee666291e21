"""Wrappers that take information away: hidden values, noise, blank observations.

Each turns a fully observable environment into a partially observable one. Vectors of floats become float32.
Apply these wrappers before those of ``cues.py``, unless a cue is to be corrupted as well.
"""

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs

from rl_larnn.envs.spaces import as_float32, has_float_box, is_float_box, is_vector


class MaskObservation(gym.ObservationWrapper, RecordConstructorArgs):
    """Removes values from a vector observation: a Box of shape (n,) becomes one of shape (n - len(hidden),), float32.

    The hidden values are removed, not set to zero, so the agent has no weights for constants.

    :param env: environment with a Box vector observation
    :param hidden: the indices to remove, counted from 0
    :raises TypeError: the observation is not a Box vector
    :raises ValueError: an index does not exist or is repeated, or nothing would be left
    """

    def __init__(self, env: gym.Env, hidden: Sequence[int]):
        RecordConstructorArgs.__init__(self, hidden=hidden)
        gym.ObservationWrapper.__init__(self, env)
        space = env.observation_space
        if not is_vector(space):
            raise TypeError(
                f"MaskObservation expected a Box vector observation, got {space}; "
                "apply it before the wrappers that make a Dict, or put gymnasium's FlattenObservation inside"
            )
        self._visible = _visible_indices(hidden, space.shape[0])
        bounds = as_float32(space)
        self.observation_space = spaces.Box(bounds.low[self._visible], bounds.high[self._visible], dtype=np.float32)

    def observation(self, observation: np.ndarray) -> np.ndarray:
        return np.asarray(observation)[self._visible].astype(np.float32)


def _visible_indices(hidden: Sequence[int], size: int) -> np.ndarray:
    valid = range(size)
    for index in hidden:
        if index not in valid:
            raise ValueError(
                f"MaskObservation cannot hide index {index}: the valid indices are 0 to {size - 1} ({size} values)"
            )
    if len(set(hidden)) < len(hidden):
        once = tuple(sorted(set(hidden)))
        raise ValueError(f"MaskObservation expected each index once, got {tuple(hidden)}; use {once}")
    if len(hidden) == size:
        raise ValueError(f"MaskObservation cannot hide all {size} values; leave at least one of 0 to {size - 1}")
    return np.array([index for index in valid if index not in set(hidden)])


class NoisyObservation(gym.ObservationWrapper, RecordConstructorArgs):
    """Adds independent Gaussian noise to every float of the observation, at reset and at every step.

    The environment's own generator draws the noise, so a seed fixes it. Float Boxes become float32 and unbounded,
    because noise ignores bounds. In a Dict only the float Boxes change.

    :param env: environment with a Box observation of floats, or a Dict with at least one
    :param std: standard deviation of the noise, in units of the observation; at least 0
    :raises TypeError: the observation has no floats
    :raises ValueError: ``std`` is negative or not finite
    """

    def __init__(self, env: gym.Env, std: float):
        RecordConstructorArgs.__init__(self, std=std)
        gym.ObservationWrapper.__init__(self, env)
        if not 0 <= std < np.inf:
            raise ValueError(f"NoisyObservation expected a finite std of at least 0, got {std}")
        if not has_float_box(env.observation_space):
            raise TypeError(
                f"NoisyObservation expected a Box of floats or a Dict with one, got {env.observation_space}"
            )
        self._std = std
        self.observation_space = _unbounded(env.observation_space)

    def observation(self, observation: Any) -> Any:
        return self._with_noise(self.observation_space, observation)

    def _with_noise(self, space: gym.Space, observation: Any) -> Any:
        if isinstance(space, spaces.Dict):
            return {key: self._with_noise(part, observation[key]) for key, part in space.items()}
        if not is_float_box(space):
            return observation
        noise = self.np_random.standard_normal(space.shape)
        return (observation + self._std * noise).astype(np.float32)


def _unbounded(space: gym.Space) -> gym.Space:
    if isinstance(space, spaces.Dict):
        return spaces.Dict({key: _unbounded(part) for key, part in space.items()})
    return spaces.Box(-np.inf, np.inf, space.shape, np.float32) if is_float_box(space) else space


class FlickerObservation(gym.ObservationWrapper, RecordConstructorArgs):
    """Replaces the whole observation by zeros with a given probability, independently at reset and at every step.

    Works on Box (images too), Discrete, MultiDiscrete, MultiBinary and Dicts of these. Bounds are widened to include
    zero; float Boxes become float32, other dtypes do not change.

    :param env: the environment
    :param probability: that an observation is blank, from 0 to 1
    :raises TypeError: the observation space has no zero, such as Text, or Discrete that starts above zero
    :raises ValueError: ``probability`` is outside 0 to 1
    """

    def __init__(self, env: gym.Env, probability: float):
        RecordConstructorArgs.__init__(self, probability=probability)
        gym.ObservationWrapper.__init__(self, env)
        if not 0 <= probability <= 1:
            raise ValueError(f"FlickerObservation expected a probability from 0 to 1, got {probability}")
        self._probability = probability
        self.observation_space = _with_zero(env.observation_space)

    def observation(self, observation: Any) -> Any:
        blank = self.np_random.random() < self._probability
        return _blanked(self.observation_space, observation, blank)


def _with_zero(space: gym.Space) -> gym.Space:
    if isinstance(space, spaces.Dict):
        return spaces.Dict({key: _with_zero(part) for key, part in space.items()})
    if isinstance(space, spaces.Box):
        box = as_float32(space) if is_float_box(space) else space
        return spaces.Box(np.minimum(box.low, 0), np.maximum(box.high, 0), dtype=box.dtype.type)
    if isinstance(space, spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary) and _zero(space) in space:
        return space
    raise TypeError(f"FlickerObservation cannot blank {space}: it has no zero; expected Box, Discrete or Dicts of such")


def _zero(space: gym.Space) -> Any:
    return np.int64(0) if isinstance(space, spaces.Discrete) else np.zeros(space.shape, space.dtype)


def _blanked(space: gym.Space, observation: Any, blank: bool) -> Any:
    if isinstance(space, spaces.Dict):
        return {key: _blanked(part, observation[key], blank) for key, part in space.items()}
    if blank:
        return _zero(space)
    return observation.astype(np.float32) if is_float_box(space) else observation

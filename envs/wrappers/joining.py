"""How a cue, a small vector, is joined to an observation.

A vector observation (Box of shape (n,)) grows by the cue and stays a float32 vector. Every other observation becomes a
Dict: the original under the key "observation" (a Dict keeps its own keys), the cue under a key of its own.
"""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from rl_larnn.envs.spaces import as_float32, is_vector


class Cue(gym.Wrapper):
    """Joins one small vector, the cue, to every observation."""

    def __init__(self, env: gym.Env, key: str, cue_space: spaces.Box):
        super().__init__(env)
        self._key = key
        self.observation_space = joined_space(env.observation_space, key, cue_space)

    def _join(self, observation: Any, cue: np.ndarray) -> Any:
        return join(self.env.observation_space, observation, self._key, cue)


def join(space: gym.Space, observations: Any, key: str, cues: np.ndarray) -> Any:
    """Add cues to observations, of one step or of many.

    :param space: space of one observation without the cue
    :param observations: (..., *shape of the space), or such an array for each key
    :param key: key of the cue in a Dict
    :param cues: (..., n)
    """
    if is_vector(space):
        return np.concatenate([observations, cues], axis=-1, dtype=np.float32)
    parts = observations if isinstance(space, spaces.Dict) else {"observation": observations}
    return {**parts, key: cues}


def joined_space(space: gym.Space, key: str, cue: spaces.Box) -> spaces.Space:
    """Return the space of what ``join`` returns for one step.

    :raises ValueError: the observation is a Dict that has this key
    """
    if is_vector(space):
        vector = as_float32(space)
        low, high = np.concatenate([vector.low, cue.low]), np.concatenate([vector.high, cue.high])
        return spaces.Box(low, high, dtype=np.float32)
    parts = dict(space.spaces) if isinstance(space, spaces.Dict) else {"observation": space}
    if key in parts:
        raise ValueError(f"the observation already has a part named {key!r}: {sorted(parts)}; apply the wrapper once")
    return spaces.Dict({**parts, key: cue})

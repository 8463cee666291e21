"""An environment that samples its observations, spaces, and trajectories, for the tests of the wrappers."""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces


class Sampler(gym.Env):
    """Observations and nothing else: samples of a space, fixed by the seed; bounded Boxes hit their bounds."""

    def __init__(self, observation_space: gym.Space, action_space: gym.Space | None = None):
        self.observation_space = observation_space
        self.action_space = action_space or spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[Any, dict]:
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict]:
        return self.observation_space.sample(), 0.0, False, False, {}


VECTOR = spaces.Box(-2.0, 5.0, (4,), np.float32)
PLAIN_SPACES = [
    VECTOR,
    spaces.Box(np.array([0.5, -np.inf]), np.array([1.5, np.inf]), dtype=np.float64),
    spaces.Box(-(2**31), 2**31 - 1, (2,), np.int32),
    spaces.Box(1, 255, (3, 8, 8), np.uint8),
    spaces.Discrete(3),
    spaces.MultiDiscrete([2, 5]),
    spaces.MultiBinary(3),
]
SPACES = [*PLAIN_SPACES, spaces.Dict({"image": PLAIN_SPACES[3], "speed": PLAIN_SPACES[1], "mode": spaces.Discrete(2)})]
ACTIONS = [
    spaces.Discrete(3),
    spaces.Discrete(3, start=-1),
    spaces.MultiDiscrete([2, 4]),
    spaces.MultiBinary(3),
    spaces.Box(-2.0, 6.0, (2, 2), np.float32),
    spaces.Box(np.array([-np.inf, 0.0, 2.0]), np.array([np.inf, 1.0, np.inf]), dtype=np.float64),
    spaces.Box(3, 9, (1,), np.int64),
]


def trajectory(env: gym.Env, seed: int, length: int = 6) -> list[Any]:
    """Observations of one reset and ``length`` random actions, all fixed by ``seed``."""
    env.action_space.seed(seed)
    observations = [env.reset(seed=seed)[0]]
    return observations + [env.step(env.action_space.sample())[0] for _ in range(length)]

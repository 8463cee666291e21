"""Small environments whose right answers are known."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces


class RecallFirst(gym.Env[np.ndarray, int]):
    """Shows a bit at the first step only and asks for it at the last: 1.0 with memory, 0.5 without.

    Observation: (+1 or -1 at the first step, else 0; 1 at the last step, else 0). Reward: 1 at the end if the action
    names the bit, else 0.
    """

    observation_space = spaces.Box(-1.0, 1.0, (2,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, length: int = 4) -> None:
        self.length = length

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.time, self.bit = 0, int(self.np_random.integers(2))
        return np.array([2 * self.bit - 1, 0], np.float32), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.time += 1
        done = self.time == self.length
        reward = float(done and int(action) == self.bit)
        return np.array([0, self.time == self.length - 1], np.float32), reward, done, False, {}


class RandomSpaces(gym.Env[Any, Any]):
    """Random observations of any space, random rewards, episodes of random length; ends or is cut off at random."""

    def __init__(self, observation_space: spaces.Space, action_space: spaces.Space) -> None:
        self.observation_space, self.action_space = observation_space, action_space
        self.actions: list[Any] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        if seed is not None:
            self.observation_space.seed(seed)
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.actions.append(action)
        terminated, truncated = self.np_random.random(2) < 0.1
        return self.observation_space.sample(), float(self.np_random.normal()), bool(terminated), bool(truncated), {}


class Breaks(gym.Env[np.ndarray, int]):
    """Returns a NaN in the observation or in the reward at a given step."""

    observation_space = spaces.Box(-1.0, 1.0, (2,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, what: str = "observation", at: int = 5) -> None:
        self.what, self.at, self.time = what, at, 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        return np.zeros(2, np.float32), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.time += 1
        bad = np.nan if self.time == self.at else 0.0
        obs = np.array([0.0, bad if self.what == "observation" else 0.0], np.float32)
        return obs, bad if self.what == "reward" else 0.0, False, False, {}

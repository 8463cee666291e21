"""Environments whose need of memory is known, and agents of which is known what they remember."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv

from rl_larnn.agents.certificate.certificate import MemoryFinding
from rl_larnn.agents.certificate.evaluator import Evaluator
from rl_larnn.agents.certificate.interventions import StateRows
from rl_larnn.agents.certificate.memory_use import examine_memory
from rl_larnn.agents.certificate.policies import random_policy

N_ENVS = 16


class Echo(gym.Env[np.ndarray, int]):
    """Shows a random sign at every step and pays for naming, as 0 or 1, the one of ``lag`` steps before."""

    observation_space = spaces.Box(-1.0, 1.0, (1,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, lag: int = 0, length: int = 24) -> None:
        self.lag, self.length = lag, length

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, Any]:
        super().reset(seed=seed)
        self.time, self.signs = 0, self.np_random.integers(2, size=self.length + 1)
        return self._shown(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        right = self.time >= self.lag and int(action) == self.signs[self.time - self.lag]
        self.time += 1
        return self._shown(), float(right), self.time == self.length, False, {}

    def _shown(self) -> np.ndarray:
        return np.array([2 * self.signs[self.time] - 1], np.float32)


class Lag:
    """Names the sign of ``lag`` steps before. Its state holds the last signs, newest first, zeros if there are none.

    :param axis: of the state's array that counts the environments
    """

    def __init__(self, lag: int, axis: int = 0) -> None:
        self.lag, self.axis = lag, axis

    def predict(self, observation: Any, state: Any, episode_start: np.ndarray, deterministic: bool) -> Any:
        rows = len(observation)
        past = np.zeros((rows, self.lag + 1), np.float32) if state is None else np.moveaxis(state[0], self.axis, 0)
        past = np.where(episode_start[:, None], 0, past)
        past = np.concatenate([observation[:, :1], past[:, :-1]], axis=1)
        return (past[:, -1] > 0).astype(int), (np.moveaxis(past, 0, self.axis),)


class Clock:
    """Carries the number of steps and acts by it alone."""

    def predict(self, observation: Any, state: Any, episode_start: np.ndarray, deterministic: bool) -> Any:
        time = np.zeros(len(observation), int) if state is None else np.where(episode_start, 0, state + 1)
        return time, time


class Parity(Echo):
    """Pays for naming the parity of the step: a memory is needed, but any episode's will do."""

    action_space = spaces.Discrete(1000)

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        observation, _, over, _, info = super().step(0)
        return observation, float(int(action) == self.time - 1), over, False, info


class First:
    """Remembers the first observation."""

    def predict(self, observation: Any, state: Any, episode_start: np.ndarray, deterministic: bool) -> Any:
        first = observation[:, :1] if state is None else np.where(episode_start[:, None], observation[:, :1], state)
        return (first[:, 0] > 0).astype(int), first


class Present:
    """Names the present sign and carries no state."""

    def predict(self, observation: Any, state: Any, episode_start: np.ndarray, deterministic: bool) -> Any:
        return (observation[:, 0] > 0).astype(int), None


class Idle(Lag):
    """Carries the last signs and acts on the present one alone."""

    def predict(self, observation: Any, state: Any, episode_start: np.ndarray, deterministic: bool) -> Any:
        after = super().predict(observation, state, episode_start, deterministic)[1]
        return Present().predict(observation, None, episode_start, deterministic)[0], after


def side_by_side(make: Callable[[], gym.Env], n_envs: int = N_ENVS) -> DummyVecEnv:
    return DummyVecEnv([lambda: Monitor(make()) for _ in range(n_envs)])


def evaluator_of(make: Callable[[], gym.Env], episodes: int = 32) -> Evaluator:
    evaluator = Evaluator(side_by_side(make), 0, True, 1.0, None)
    evaluator.episodes = episodes
    return evaluator


def finding(model: Any, make: Callable[[], gym.Env]) -> MemoryFinding:
    evaluator = evaluator_of(make)
    rows = StateRows.of(model, evaluator.env.reset())
    random = evaluator.returns(random_policy(evaluator.env.action_space, 0))
    return examine_memory(model, evaluator, evaluator.evaluate(model), rows, random)

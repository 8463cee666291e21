"""Wrappers that show an agent the return-to-go and the number of the step: inputs of a Decision Transformer."""

from typing import Any, SupportsFloat

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs

from rl_larnn.envs.wrappers.joining import Cue


class ReturnToGo(Cue, RecordConstructorArgs):
    """Shows the agent its return-to-go: the target return minus the rewards of the episode so far.

    The value before an action includes the reward of that action, as ``returns_to_go`` of a dataset does (Chen et al.,
    Decision Transformer, 2021). In a Dict the key is "return_to_go", shape (1,).

    :param env: the environment
    :param target: undiscounted return of an episode, in the rewards of the environment
    :raises ValueError: the target is not a finite number
    """

    def __init__(self, env: gym.Env, target: float):
        RecordConstructorArgs.__init__(self, target=target)
        if not np.isfinite(target):
            raise ValueError(f"ReturnToGo expected a finite target return, got {target}")
        Cue.__init__(self, env, "return_to_go", spaces.Box(-np.inf, np.inf, (1,), np.float32))
        self._target = float(target)
        self._left = self._target

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        observation, info = self.env.reset(seed=seed, options=options)
        self._left = self._target
        return self._join(observation, np.array([self._left], np.float32)), info

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._left -= float(reward)
        return self._join(observation, np.array([self._left], np.float32)), reward, terminated, truncated, info


class StepNumber(Cue, RecordConstructorArgs):
    """Shows the agent the number of steps since the reset. In a Dict the key is "step_number", shape (1,).

    :param env: the environment
    :param last: the highest number that is shown, also at all later steps: the data of a learner have no higher ones
    :raises ValueError: the last number is not positive
    """

    def __init__(self, env: gym.Env, last: int):
        RecordConstructorArgs.__init__(self, last=last)
        if last < 1:
            raise ValueError(f"StepNumber expected a last number of at least 1, got {last}")
        Cue.__init__(self, env, "step_number", spaces.Box(0.0, last, (1,), np.float32))
        self._last, self._steps = last, 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        observation, info = self.env.reset(seed=seed, options=options)
        self._steps = 0
        return self._join(observation, np.zeros(1, np.float32)), info

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._steps = min(self._steps + 1, self._last)
        return self._join(observation, np.array([self._steps], np.float32)), reward, terminated, truncated, info

"""Whole episodes of many policies at once, and their scores. For measuring bounds, not for training."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import gymnasium as gym
import numpy as np

from rl_larnn.envs.ids import make
from rl_larnn.envs.spaces import is_vector

Act = Callable[[np.ndarray], np.ndarray]
"""From observations (P, E, I) to actions (P, E, *action shape)."""


@dataclass(frozen=True)
class Score:
    """Mean return over episodes and the standard error of that mean."""

    mean: float
    standard_error: float
    episodes: int

    @classmethod
    def of(cls, returns: np.ndarray) -> Self:
        """Return the score of the returns (E,) of E > 1 independent episodes."""
        error = returns.std(ddof=1) / np.sqrt(len(returns))
        return cls(float(returns.mean()), float(error), len(returns))

    def __str__(self) -> str:
        return f"{self.mean:.2f} ± {self.standard_error:.2f} ({self.episodes} episodes)"


class Rollouts:
    """Plays E episodes of each of P policies in lockstep: one call acts in all P × E environments.

    All policies have the same E seeds, so that their difference varies less than their scores.

    :raises TypeError: the observation is not a Box vector
    """

    def __init__(self, env_id: str):
        self._env_id = env_id
        self._envs: list[gym.Env] = [self._new()]
        space = self._envs[0].observation_space
        if not is_vector(space):
            raise TypeError(f"the memoryless search expected a Box vector observation, {env_id} has {space}")
        self.action_space = self._envs[0].action_space
        self.observation_size = space.shape[0]

    def returns(self, act: Act, policies: int, episodes: int, seed: int) -> np.ndarray:
        """Play one episode of each policy on the seeds seed .. seed + E - 1; return the undiscounted returns (P, E)."""
        envs = self._at_least(policies * episodes)
        shape = (policies, episodes)
        seeds = np.tile(np.arange(seed, seed + episodes), policies)
        observations = np.stack([env.reset(seed=int(s))[0] for env, s in zip(envs, seeds, strict=True)])
        returns = np.zeros(policies * episodes)
        running = list(range(policies * episodes))
        while running:
            actions = act(observations.reshape(*shape, -1))
            actions = actions.reshape(policies * episodes, *actions.shape[2:])
            ended = set()
            for i in running:
                observations[i], reward, terminated, truncated, _ = envs[i].step(actions[i])
                returns[i] += float(reward)
                if terminated or truncated:
                    ended.add(i)
            running = [i for i in running if i not in ended]
        return returns.reshape(shape)

    def _new(self) -> gym.Env:
        return make(self._env_id, disable_env_checker=True)

    def _at_least(self, count: int) -> list[gym.Env]:
        self._envs += [self._new() for _ in range(count - len(self._envs))]
        return self._envs[:count]

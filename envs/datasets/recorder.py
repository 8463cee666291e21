"""A wrapper that records episodes."""

from collections.abc import Callable
from typing import Any, SupportsFloat

import gymnasium as gym
import numpy as np

from rl_larnn.envs.datasets.dataset import check_supported, to_dtype_of
from rl_larnn.envs.datasets.episode import Episode

OnEpisode = Callable[[Episode], None]


class Recorder(gym.Wrapper):
    """Records every finished episode of the wrapped environment, before outer wrappers change what the agent sees.

    An episode that is reset before its end is dropped.

    :param env: the environment
    :param on_episode: called with each finished episode, before ``step`` returns
    :raises DatasetError: spaces that no dataset can hold, or NaN in an episode
    """

    def __init__(self, env: gym.Env, on_episode: OnEpisode):
        super().__init__(env)
        for key, space in (("observations", env.observation_space), ("actions", env.action_space)):
            check_supported(space, key, str(env))
        self._on_episode = on_episode
        self._observations: list[np.ndarray] = []
        self._actions: list[np.ndarray] = []
        self._rewards: list[float] = []

    @property
    def steps(self) -> int:
        """Number of steps of the current episode."""
        return len(self._rewards)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        observation, info = self.env.reset(seed=seed, options=options)
        self._observations, self._actions, self._rewards = [self._copy(observation)], [], []
        return observation, info

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        self._actions.append(to_dtype_of(self.action_space, np.array(action), "actions"))
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._observations.append(self._copy(observation))
        self._rewards.append(float(reward))
        if terminated or truncated:
            self._on_episode(self._episode(terminated, truncated))
        return observation, reward, terminated, truncated, info

    def _copy(self, observation: Any) -> np.ndarray:
        # Some environments return the same array at every step.
        return to_dtype_of(self.observation_space, np.array(observation), "observations")

    def _episode(self, terminated: bool, truncated: bool) -> Episode:
        seen = np.stack(self._observations)
        return Episode(seen[:-1], np.stack(self._actions), np.array(self._rewards), terminated, truncated, seen[-1])

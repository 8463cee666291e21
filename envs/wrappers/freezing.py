"""A wrapper that repeats old observations, like a sensor that hangs."""

from typing import Any, SupportsFloat

import gymnasium as gym
from gymnasium.utils import RecordConstructorArgs


class FreezeObservation(gym.Wrapper, RecordConstructorArgs):
    """Repeats the last observation for a random number of steps, again and again.

    At every step that is not frozen, a freeze begins with the given probability. It shows the observation of the step
    before for ``shortest`` to ``longest`` steps, each length equally likely. At least one new observation follows. The
    first observation of an episode is always new. The agent is not told that an observation is old. A seed fixes the
    freezes.

    :param env: the environment
    :param probability: that a freeze begins, per step, from 0 to 1
    :param shortest: steps of the shortest freeze; at least 1
    :param longest: steps of the longest freeze; at least ``shortest``
    :raises ValueError: a number is outside its range
    """

    def __init__(self, env: gym.Env, probability: float, shortest: int, longest: int):
        RecordConstructorArgs.__init__(self, probability=probability, shortest=shortest, longest=longest)
        gym.Wrapper.__init__(self, env)
        if not 0 <= probability <= 1:
            raise ValueError(f"FreezeObservation expected a probability from 0 to 1, got {probability}")
        if not 1 <= shortest <= longest:
            raise ValueError(
                f"FreezeObservation expected 1 <= shortest <= longest, got shortest {shortest} and longest {longest}"
            )
        self._probability, self._shortest, self._longest = probability, shortest, longest
        self._frozen_steps, self._shown, self._just_thawed = 0, None, False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        observation, info = self.env.reset(seed=seed, options=options)
        self._frozen_steps, self._shown, self._just_thawed = 0, observation, False
        return observation, info

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        if self._frozen_steps == 0 and not self._just_thawed and self.np_random.random() < self._probability:
            self._frozen_steps = int(self.np_random.integers(self._shortest, self._longest + 1))
        if self._frozen_steps == 0:
            self._shown, self._just_thawed = observation, False
        else:
            self._frozen_steps -= 1
            self._just_thawed = self._frozen_steps == 0
        return self._shown, reward, terminated, truncated, info

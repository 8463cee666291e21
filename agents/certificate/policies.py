"""Observations as flat vectors, and the policies of the baselines, which read them.

Every baseline reads exactly the observation that the agent reads (normalised, with its cues), merely flattened.

Letters: B rows, I numbers in an observation, F frames.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.type_aliases import PolicyPredictor
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn

from rl_larnn.errors import UserError


def flatten(space: spaces.Space, observation: Any) -> np.ndarray:
    """A batch of observations as a float32 matrix (B, I): whole numbers one-hot, bytes of images from 0 to 1.

    :raises UserError: for a space that Stable-Baselines3's agents cannot read either
    """
    if isinstance(space, spaces.Dict):
        return np.concatenate([flatten(part, observation[key]) for key, part in space.spaces.items()], axis=1)
    values = np.asarray(observation)
    if isinstance(space, spaces.Discrete):
        return np.eye(int(space.n), dtype=np.float32)[values.reshape(-1).astype(int) - int(space.start)]
    if isinstance(space, spaces.MultiDiscrete):
        columns = values.reshape(len(values), -1).astype(int) - space.start.reshape(-1)
        sizes = zip(space.nvec.reshape(-1), columns.T, strict=True)
        return np.concatenate([np.eye(int(size), dtype=np.float32)[column] for size, column in sizes], axis=1)
    if isinstance(space, spaces.Box | spaces.MultiBinary):
        scale = 255.0 if values.dtype == np.uint8 else 1.0
        return values.reshape(len(values), -1).astype(np.float32) / np.float32(scale)
    raise UserError(
        f"expected observations of Box, Discrete, MultiDiscrete, MultiBinary or a Dict of them, got {space}"
    )


def flat_width(space: spaces.Space) -> int:
    """I, the numbers that :func:`flatten` makes of one observation."""
    return flatten(space, _batch_of_one(space.sample())).shape[1]


def _batch_of_one(observation: Any) -> Any:
    if isinstance(observation, dict):
        return {key: part[None] for key, part in observation.items()}
    return np.asarray(observation)[None]


class Frames:
    """The last F observations of each row side by side, the newest last; zeros where an episode is younger.

    :param count: F; 1 is the present observation alone
    """

    def __init__(self, space: spaces.Space, count: int) -> None:
        self.space, self.count = space, count

    def advance(self, frames: np.ndarray | None, observation: Any, starts: np.ndarray) -> np.ndarray:
        """The frames (B, F * I) after one more observation.

        :param frames: those of the step before; None at the first
        :param starts: (B,), true where the observation opens an episode
        """
        newest = flatten(self.space, observation)
        width = newest.shape[1]
        if frames is None:
            frames = np.zeros((len(newest), self.count * width), np.float32)
        kept = np.where(starts[:, None], np.float32(0), frames[:, width:])
        return np.concatenate([kept, newest], axis=1)


class FlatFrames(VecEnvWrapper):
    """Environments that show their last few observations as one vector, for a learner without memory."""

    def __init__(self, env: VecEnv, frames: Frames) -> None:
        width = frames.count * flat_width(env.observation_space)
        super().__init__(env, spaces.Box(-np.inf, np.inf, (width,), np.float32))
        self.frames = frames
        self._last: np.ndarray | None = None

    def reset(self) -> np.ndarray:
        """See :class:`VecEnv`."""
        self._last = self.frames.advance(None, self.venv.reset(), np.ones(self.num_envs, bool))
        return self._last

    def step_wait(self) -> VecEnvStepReturn:
        """See :class:`VecEnv`."""
        observation, rewards, dones, infos = self.venv.step_wait()
        assert self._last is not None
        for index in np.flatnonzero(dones):
            last = infos[index].get("terminal_observation")
            if last is not None:
                # PPO reads the value of a truncated episode's last step from it: the same frames, without a reset.
                shown = self.frames.advance(self._last[index : index + 1], _batch_of_one(last), np.zeros(1, bool))[0]
                infos[index] = {**infos[index], "terminal_observation": shown}
        self._last = self.frames.advance(self._last, observation, dones)
        return self._last, rewards, dones, infos


class Predictor(ABC):
    """A policy with Stable-Baselines3's ``predict``."""

    def predict(
        self, observation: Any, state: Any = None, episode_start: np.ndarray | None = None, deterministic: bool = False
    ) -> tuple[np.ndarray, Any]:
        """See :meth:`stable_baselines3.common.base_class.BaseAlgorithm.predict`; ``episode_start`` is required."""
        assert episode_start is not None
        return self._predict(observation, state, episode_start, deterministic)

    @abstractmethod
    def _predict(self, observation: Any, state: Any, starts: np.ndarray, deterministic: bool) -> tuple[Any, Any]: ...


class FlatPolicy(Protocol):
    """A policy of flat vectors, without state."""

    def act(self, inputs: np.ndarray, deterministic: bool) -> np.ndarray:
        """Actions (B, ...) for inputs (B, I)."""


class RandomPolicy(Predictor):
    """Acts uniformly at random."""

    def __init__(self, space: spaces.Space, seed: int) -> None:
        self.space = space
        space.seed(seed)

    def _predict(self, observation: Any, state: Any, starts: np.ndarray, deterministic: bool) -> tuple[Any, Any]:
        return np.stack([self.space.sample() for _ in starts]), None


class FramePolicy(Predictor):
    """A flat policy of the last few observations. With one frame it has no memory, and carries no state.

    :param sampled: whether it samples its actions, which can be the better way to act without memory
    """

    def __init__(self, policy: FlatPolicy, frames: Frames, sampled: bool) -> None:
        self.policy, self.frames, self.sampled = policy, frames, sampled

    def _predict(self, observation: Any, state: Any, starts: np.ndarray, deterministic: bool) -> tuple[Any, Any]:
        shown = self.frames.advance(state, observation, starts)
        return self.policy.act(shown, not self.sampled), shown if self.frames.count > 1 else None


#: The inputs (B, I) of a student, for an observation and the teacher's state after it.
StudentInputs = Callable[[Any, Any], np.ndarray]


class MemoryConditionedStudent(Predictor):
    """A student of the present observation and of its teacher's memory.

    :param teacher: the model that remembers
    """

    def __init__(self, policy: FlatPolicy, teacher: PolicyPredictor, inputs: StudentInputs, sampled: bool) -> None:
        self.policy, self.teacher, self.inputs, self.sampled = policy, teacher, inputs, sampled

    def _predict(self, observation: Any, state: Any, starts: np.ndarray, deterministic: bool) -> tuple[Any, Any]:
        _, after = self.teacher.predict(observation, state, starts, True)
        return self.policy.act(self.inputs(observation, after), not self.sampled), after

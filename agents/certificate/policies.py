"""What an agent sees at one step, or at the last few, as one vector of numbers.

Every contender reads exactly the observation that the agent reads (normalised, with its cues), merely flattened.

Letters: B rows, I numbers in an observation, F frames.

Policies to compare an agent with, as anything that predicts like a model: chance, and networks over a few frames.
"""

from __future__ import annotations

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
        hot = [
            np.eye(int(size), dtype=np.float32)[column]
            for size, column in zip(space.nvec.reshape(-1), columns.T, strict=True)
        ]
        return np.concatenate(hot, axis=1)
    if isinstance(space, spaces.Box | spaces.MultiBinary):
        scale = 255.0 if values.dtype == np.uint8 else 1.0
        return values.reshape(len(values), -1).astype(np.float32) / np.float32(scale)
    raise UserError(
        f"expected observations of Box, Discrete, MultiDiscrete, MultiBinary or a Dict of them, got {space}"
    )


def flat_width(space: spaces.Space) -> int:
    """I, the numbers that :func:`flatten` makes of one observation."""
    sample = space.sample()
    batch = {key: part[None] for key, part in sample.items()} if isinstance(space, spaces.Dict) else np.array([sample])
    return flatten(space, batch).shape[1]


class Frames:
    """The last F observations of each row side by side, the newest last; zeros where an episode is younger.

    :param count: F; 1 is the present alone
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
        ended = [index for index in np.flatnonzero(dones) if infos[index].get("terminal_observation") is not None]
        for index in ended:
            # What the value of a truncated episode's last step is read from: the same frames, had it gone on.
            assert self._last is not None
            last = infos[index]["terminal_observation"]
            one = {key: part[None] for key, part in last.items()} if isinstance(last, dict) else np.asarray(last)[None]
            shown = self.frames.advance(self._last[index : index + 1], one, np.zeros(1, bool))[0]
            infos[index] = {**infos[index], "terminal_observation": shown}
        self._last = self.frames.advance(self._last, observation, dones)
        return self._last, rewards, dones, infos


class Reader(Protocol):
    """What acts on a plain vector."""

    def act(self, inputs: np.ndarray, deterministic: bool) -> np.ndarray:
        """Actions (B, ...) for inputs (B, I)."""


class Chance:
    """Acts uniformly at random, whatever it sees."""

    def __init__(self, space: spaces.Space, seed: int) -> None:
        self.space = space
        space.seed(seed)

    def predict(
        self, observation: Any, state: Any = None, episode_start: np.ndarray | None = None, deterministic: bool = False
    ) -> tuple[np.ndarray, Any]:
        """See :meth:`stable_baselines3.common.base_class.BaseAlgorithm.predict`."""
        assert episode_start is not None
        return np.stack([self.space.sample() for _ in episode_start]), None


class FramePolicy:
    """A reader of the last few observations. With one frame it has no memory, and carries no state.

    :param sampled: whether it samples its actions, which can be the better way to act without memory
    """

    def __init__(self, reader: Reader, frames: Frames, sampled: bool) -> None:
        self.reader, self.frames, self.sampled = reader, frames, sampled

    def predict(
        self, observation: Any, state: Any = None, episode_start: np.ndarray | None = None, deterministic: bool = False
    ) -> tuple[np.ndarray, Any]:
        """See :meth:`stable_baselines3.common.base_class.BaseAlgorithm.predict`."""
        assert episode_start is not None
        shown = self.frames.advance(state, observation, episode_start)
        return self.reader.act(shown, not self.sampled), shown if self.frames.count > 1 else None


class Amanuensis:
    """A reader of the present observation and of another model's memory: the same network, with memory added.

    :param teacher: the model that remembers
    :param flat: its state as a matrix (B, D)
    """

    def __init__(self, reader: Reader, teacher: PolicyPredictor, frames: Frames, flat: Any, sampled: bool) -> None:
        self.reader, self.teacher, self.frames, self.flat, self.sampled = reader, teacher, frames, flat, sampled

    def predict(
        self, observation: Any, state: Any = None, episode_start: np.ndarray | None = None, deterministic: bool = False
    ) -> tuple[np.ndarray, Any]:
        """See :meth:`stable_baselines3.common.base_class.BaseAlgorithm.predict`."""
        assert episode_start is not None
        shown = self.frames.advance(None, observation, episode_start)
        _, after = self.teacher.predict(observation, state, episode_start, True)
        return self.reader.act(np.concatenate([shown, self.flat(after)], axis=1), not self.sampled), after

"""What an agent sees at one step, or at the last few, as one vector of numbers.

Every contender reads exactly the observation that the agent reads (normalised, with its cues), merely flattened.

Letters: B rows, I numbers in an observation, F frames.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
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

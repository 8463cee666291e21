"""Observations as flat vectors, and the policies of the baselines, which read them.

Every baseline reads exactly the observation that the agent reads (normalised, with its cues), merely flattened.

Letters: B rows, I numbers in an observation, F frames.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn
from torch.utils._pytree import tree_map

from rl_larnn.errors import UserError

#: A policy without state: from inputs (B, I), and whether to take the likeliest actions, to actions (B, ...).
FlatPolicy = Callable[[np.ndarray, bool], np.ndarray]


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


class Frames:
    """The last F observations of each row side by side, the newest last; zeros where an episode is younger.

    :param count: F; 1 is the present observation alone
    """

    def __init__(self, space: spaces.Space, count: int) -> None:
        self.space, self.count, self.width = space, count, count * spaces.flatdim(space)

    def inputs(self, observation: Any, frames: np.ndarray | None, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """For :func:`vector_policy`, whose state the frames are."""
        shown = self.advance(frames, observation, starts)
        return shown, shown

    def advance(self, frames: np.ndarray | None, observation: Any, starts: np.ndarray) -> np.ndarray:
        """The frames (B, F * I) after one more observation.

        :param frames: those of the step before; None at the first
        :param starts: (B,), true where the observation opens an episode
        """
        newest = flatten(self.space, observation)
        before = np.zeros((len(newest), self.width), np.float32) if frames is None else frames
        kept = np.where(starts[:, None], np.float32(0), before[:, newest.shape[1] :])
        return np.concatenate([kept, newest], axis=1)


class FlatFrames(VecEnvWrapper):
    """Environments that show their last few observations as one vector, for a learner without memory."""

    def __init__(self, env: VecEnv, frames: Frames) -> None:
        super().__init__(env, spaces.Box(-np.inf, np.inf, (frames.width,), np.float32))
        self.frames = frames
        self._last: Any = None

    def reset(self) -> np.ndarray:
        """See :class:`VecEnv`."""
        self._last = self.frames.advance(None, self.venv.reset(), np.ones(self.num_envs, bool))
        return self._last

    def step_wait(self) -> VecEnvStepReturn:
        """See :class:`VecEnv`."""
        observation, rewards, dones, infos = self.venv.step_wait()
        for index in np.flatnonzero(dones):
            last = infos[index].get("terminal_observation")
            if last is not None:
                # PPO reads the value of a truncated episode's last step from it: the same frames, without a reset.
                row = tree_map(lambda part: np.asarray(part)[None], last)
                shown = self.frames.advance(self._last[index : index + 1], row, np.zeros(1, bool))[0]
                infos[index] = {**infos[index], "terminal_observation": shown}
        self._last = self.frames.advance(self._last, observation, dones)
        return self._last, rewards, dones, infos


#: From an observation, the state before it, the starts (B,) and whether to act deterministically to actions and state.
Step = Callable[[Any, Any, np.ndarray, bool], tuple[np.ndarray, Any]]


@dataclass(frozen=True)
class Predictor:
    """A policy with Stable-Baselines3's ``predict``."""

    step: Step

    def predict(
        self, observation: Any, state: Any = None, episode_start: np.ndarray | None = None, deterministic: bool = False
    ) -> tuple[np.ndarray, Any]:
        """See :meth:`stable_baselines3.common.base_class.BaseAlgorithm.predict`; ``episode_start`` is required."""
        assert episode_start is not None
        return self.step(observation, state, episode_start, deterministic)


def random_policy(space: spaces.Space, seed: int) -> Predictor:
    """Acts uniformly at random."""
    space.seed(seed)
    return Predictor(lambda _, state, starts, deterministic: (np.stack([space.sample() for _ in starts]), None))


def vector_policy(policy: FlatPolicy, inputs: Callable[..., tuple[np.ndarray, Any]], sampled: bool) -> Predictor:
    """Acts by a flat policy.

    :param inputs: from an observation, the state and the starts to the inputs (B, I) and the next state
    :param sampled: whether it samples its actions, which can be the better way to act without memory
    """

    def step(observation: Any, state: Any, starts: np.ndarray, _: bool) -> tuple[np.ndarray, Any]:
        shown, after = inputs(observation, state, starts)
        return policy(shown, not sampled), after

    return Predictor(step)

"""Policies to compare an agent with, as anything that predicts like a model: chance, and networks over a few frames."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.type_aliases import PolicyPredictor

from rl_larnn.agents.certificate.inputs import Frames


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

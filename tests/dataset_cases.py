"""Random episodes, and writers of the two layouts that the readers know, independent of the library's own writer."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import gymnasium as gym
import h5py
import minari
import numpy as np
import numpy.testing as npt
from gymnasium import spaces
from minari.data_collector import EpisodeBuffer

from rl_larnn.envs import make
from rl_larnn.envs.datasets import Columns, Dataset, Episode

VECTOR = spaces.Box(-np.inf, np.inf, (3,), np.float32)
TORQUES = spaces.Box(-1.0, 1.0, (2,), np.float32)
IMAGE = spaces.Box(0, 255, (36, 40, 3), np.uint8)
PUSHES = spaces.Discrete(3)


def cartpole() -> gym.Env:
    return make("CartPole-v1")


def values(space: spaces.Space, steps: int, generator: np.random.Generator) -> np.ndarray:
    """Random values (steps, ...) in the dtype of a space."""
    if isinstance(space, spaces.Box) and space.dtype == np.uint8:
        return generator.integers(0, 256, (steps, *space.shape), np.uint8)
    if isinstance(space, spaces.Box):
        return generator.uniform(-1, 1, (steps, *space.shape)).astype(space.dtype)
    if isinstance(space, spaces.MultiDiscrete | spaces.MultiBinary):
        sizes = space.nvec if isinstance(space, spaces.MultiDiscrete) else 2
        return generator.integers(0, sizes, (steps, *space.shape)).astype(space.dtype)
    assert isinstance(space, spaces.Discrete)
    return generator.integers(space.start, space.start + space.n, steps)


def random_episode(
    steps: int,
    generator: np.random.Generator,
    observation_space: spaces.Space = VECTOR,
    action_space: spaces.Space = TORQUES,
    terminated: bool = True,
) -> Episode:
    """An episode of so many steps, with rewards that float32 holds."""
    seen = values(observation_space, steps + 1, generator)
    actions, rewards = values(action_space, steps, generator), generator.normal(size=steps).astype(np.float32)
    return Episode(seen[:-1], actions, rewards, terminated, not terminated, seen[-1])


def random_dataset(
    lengths: Sequence[int],
    seed: int = 0,
    observation_space: spaces.Space = VECTOR,
    action_space: spaces.Space = TORQUES,
    **attributes: Any,
) -> Dataset:
    """Episodes of these lengths, every other one cut off."""
    generator = np.random.default_rng(seed)
    episodes = [
        random_episode(steps, generator, observation_space, action_space, terminated=i % 2 == 0)
        for i, steps in enumerate(lengths)
    ]
    return Dataset("random", Columns.of(episodes), observation_space, action_space, **attributes)


class Replay(gym.Env):
    """Plays the episodes of a dataset one after the other, whatever is done, and begins again."""

    def __init__(self, dataset: Dataset) -> None:
        self.observation_space, self.action_space = dataset.observation_space, dataset.action_space
        self._episodes, self._number = dataset.episodes, -1

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._number, self._step = (self._number + 1) % len(self._episodes), 0
        return self._episodes[self._number].observations[0], {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        episode = self._episodes[self._number]
        reward = float(episode.rewards[self._step])
        self._step += 1
        over = self._step == len(episode)
        return episode.observations[min(self._step, len(episode) - 1)], reward, over, False, {}


def write_d4rl(path: Path, episodes: Sequence[Episode], tail: int = 0, following: bool = False, **changes: Any) -> Path:
    """The exact layout of D4RL's v2 files, as ``collect_data.py`` writes it.

    ``tail`` steps of an unfinished episode come last. ``following`` adds the next observations. ``changes`` replace
    arrays; None leaves one out.
    """
    parts = {key: [getattr(e, key) for e in episodes] for key in ("observations", "actions", "rewards")}
    last = [np.arange(len(e)) == len(e) - 1 for e in episodes]
    parts["terminals"] = [ends & e.terminated for ends, e in zip(last, episodes, strict=True)]
    parts["timeouts"] = [ends & e.truncated for ends, e in zip(last, episodes, strict=True)]
    if following:
        parts["next_observations"] = [
            np.concatenate([e.observations[1:], np.asarray(e.final_observation)[None]]) for e in episodes
        ]
    arrays = {key: np.concatenate([*part, np.zeros_like(part[0][:1]).repeat(tail, 0)]) for key, part in parts.items()}
    arrays["rewards"] = arrays["rewards"].astype(np.float32)
    arrays["infos/action_log_probs"] = np.zeros(len(arrays["rewards"]), np.float32)
    with h5py.File(path, "w") as file:
        for key, array in {**arrays, **changes}.items():
            if array is not None:
                file.create_dataset(key, data=array, compression="gzip" if np.ndim(array) else None)
        file["metadata/algorithm"] = np.bytes_("SAC")
    return path


def write_minari(dataset_id: str, episodes: Sequence[Episode], observation_space: Any, action_space: Any) -> None:
    """A dataset as Minari's own function writes it."""
    last = [np.arange(len(e)) == len(e) - 1 for e in episodes]
    buffers = [
        EpisodeBuffer(
            observations=np.concatenate([e.observations, np.asarray(e.final_observation)[None]]),
            actions=e.actions,
            rewards=e.rewards,
            terminations=ends & e.terminated,
            truncations=ends & e.truncated,
        )
        for ends, e in zip(last, episodes, strict=True)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about authors that are not named
        minari.create_dataset_from_buffers(
            dataset_id,
            buffers,
            observation_space=observation_space,
            action_space=action_space,
            jpeg_encoding=False,
        )


@contextmanager
def store_in(folder: Path) -> Iterator[Path]:
    """Minari's store in a folder of its own."""
    with mock.patch.dict(os.environ, MINARI_DATASETS_PATH=str(folder)):
        yield folder


def assert_same_episodes(found: Sequence[Episode], expected: Sequence[Episode], final: bool = True) -> None:
    """Equal to the bit, dtypes included."""
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        for key in ("observations", "actions", "rewards", *(["final_observation"] if final else [])):
            first, second = getattr(one, key), getattr(other, key)
            assert first.dtype == second.dtype
            npt.assert_array_equal(first, second, strict=True)
        assert (one.terminated, one.truncated) == (other.terminated, other.truncated)


SPACES = {
    "vectors": (VECTOR, TORQUES),
    "images": (IMAGE, TORQUES),
    "choices": (spaces.Discrete(5), PUSHES),
    "double": (spaces.Box(-np.inf, np.inf, (2,), np.float64), PUSHES),
}


def some_episodes(
    lengths: list[int], seed: int = 0, observation_space: Any = VECTOR, action_space: Any = TORQUES
) -> list[Episode]:
    generator = np.random.default_rng(seed)
    return [
        random_episode(steps, generator, observation_space, action_space, terminated=bool(generator.random() < 0.5))
        for steps in lengths
    ]

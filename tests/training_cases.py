"""Small runs for the tests of training, and environments that make trouble."""

from __future__ import annotations

import csv
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rl_larnn.agents.recurrent_ppo import RecurrentPPO
from rl_larnn.agents.reporting.reporter import Reporter
from rl_larnn.agents.runs.logs import read_curve
from rl_larnn.agents.settings.values import Linear
from rl_larnn.agents.training import Run, TrainConfig, train
from rl_larnn.errors import Interrupted

ROLLOUT = 32

SCHEDULES = {"learning_rate": Linear(1e-3), "clip_range": Linear(0.2)}

TINY = {"n_steps": 16, "batch_size": 32, "n_epochs": 1, "seq_len": 16, "hidden_size": 8, **SCHEDULES}

SIZES = {
    "n_timesteps": 320,
    "n_envs": 2,
    "eval_episodes": 3,
    "eval_freq": 0,
}  # see test_periodic_evaluation.py

CONFIG = TrainConfig("CartPole-POMDP", "gru", settings=TINY, device="cpu", **SIZES)  # type: ignore[arg-type]


class Troubled(gym.Wrapper):
    """A pole whose environment does something unexpected, once, at a given step over all its episodes."""

    def __init__(self, at: int, trouble: str) -> None:
        super().__init__(gym.make("CartPole-POMDP-v0"))
        self.left, self.trouble = at, trouble

    def step(self, action: Any) -> Any:
        self.left -= 1
        observation, reward, terminated, truncated, info = super().step(action)
        if self.left == 0:
            if self.trouble == "nan":
                observation = np.full_like(observation, np.nan)
            else:
                signal.raise_signal(getattr(signal, self.trouble))
        return observation, reward, terminated, truncated, info


class Images(gym.Env):
    """A camera beside a number far from zero."""

    observation_space = gym.spaces.Dict(
        {"camera": gym.spaces.Box(0, 255, (36, 36, 3), np.uint8), "number": gym.spaces.Box(-1e3, 1e3, (1,), np.float32)}
    )
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return {"camera": np.zeros((36, 36, 3), np.uint8), "number": np.full(1, 500, np.float32)}, {}

    def step(self, action: Any) -> Any:
        return self.reset()[0], 1.0, False, False, {}


def trouble(at: int, kind: str, folder: Path) -> TrainConfig:
    return replace(CONFIG, env="Troubled-v0", env_kwargs={"at": at, "trouble": kind}, run_dir=folder)


def copy(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run, tmp_path / "copy"))


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "progress.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def event_steps(folder: Path, tag: str) -> list[int]:
    events = EventAccumulator(str(folder))
    events.Reload()
    return [event.step for event in events.Scalars(tag)]


def curve(run: Run) -> list[list[float]]:
    return read_curve(run.folder).tolist()


class Told(Reporter):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.warnings: list[str] = []

    def message(self, text: str) -> None:
        self.messages.append(text)

    def warning(self, text: str) -> None:
        self.warnings.append(text)


class OnMessage(Reporter):
    """Calls a function at the message before the first step."""

    def __init__(self, call: Callable[[], object]) -> None:
        self.call = call

    def message(self, text: str) -> None:
        self.call()


def signal_in_update(monkeypatch: pytest.MonkeyPatch, signals: list[signal.Signals]) -> None:
    """Send signals in the middle of the third update."""
    model_class = RecurrentPPO
    update = model_class.train

    def interrupted_update(model: Any) -> None:
        while model.num_timesteps == 3 * ROLLOUT and signals:
            signal.raise_signal(signals.pop())
        update(model)

    monkeypatch.setattr(model_class, "train", interrupted_update)


def interrupt(*arguments: object) -> None:
    """Instead of anything that takes a while: Ctrl-C."""
    raise KeyboardInterrupt


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@contextmanager
def register_trouble() -> Iterator[None]:
    """:class:`Troubled` has an id."""
    gym.register("Troubled-v0", entry_point=Troubled, max_episode_steps=500, reward_threshold=475)
    try:
        yield
    finally:
        del gym.registry["Troubled-v0"]


def finished_run(folder: Path) -> Run:
    """A run of ten rollouts."""
    return train(replace(CONFIG, run_dir=folder))


def interrupted_run(folder: Path) -> Path:
    """A run stopped by Ctrl-C in the middle of its seventh rollout, the third after its last regular checkpoint."""
    with pytest.raises(Interrupted):
        train(replace(trouble(100, "SIGINT", folder), checkpoint_freq=4 * ROLLOUT))
    return folder

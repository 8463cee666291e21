"""Evaluating agents, loading runs and recording episodes."""

from __future__ import annotations

import builtins
import importlib.util
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from rl_larnn.agents.evaluation.evaluate import Evaluation, ResetEveryStep, evaluate, reference_rows
from rl_larnn.agents.evaluation.load import EVALUATION_ENVS, load_run
from rl_larnn.agents.evaluation.plots import plot_curves, read_curves
from rl_larnn.agents.evaluation.video import record_video
from rl_larnn.agents.settings.environments import (
    derived_seed,
    load_normalization,
    make_env,
    make_environments,
    normalized,
)
from rl_larnn.agents.settings.recipes import Recipe
from rl_larnn.agents.training import TrainConfig, train
from rl_larnn.envs import find_task
from rl_larnn.errors import UserError

TINY = {"n_steps": 16, "batch_size": 32, "n_epochs": 1, "seq_len": 16, "hidden_size": 8}


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    settings = {**TINY, "previous_action": True, "first_step_flag": True}
    train(TrainConfig("CartPole-POMDP", "lstm", 64, n_envs=2, settings=settings, eval_episodes=1, run_dir=folder))
    return folder


class Counter(gym.Env):
    """Every episode is one step longer than the one before and pays 2 a step."""

    observation_space = gym.spaces.Box(0, 1, (1,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self) -> None:
        self.length = self.left = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.length += 1
        self.left = self.length
        return np.ones(1, np.float32), {}

    def step(self, action: Any) -> Any:
        self.left -= 1
        return np.zeros(1, np.float32), 2.0, self.left == 0, False, {}


class Watcher:
    """An agent that counts its steps since the last start, as an agent with a memory would."""

    def __init__(self) -> None:
        self.lengths: list[int] = []
        self.deterministic: list[bool] = []

    def predict(self, observation: Any, state: Any, episode_start: Any, deterministic: bool) -> Any:
        state = np.zeros(len(observation), int) if state is None else state
        assert np.array_equal(episode_start, observation[:, 0] == 1)
        state = np.where(episode_start, 1, state + 1)
        self.lengths.append(int(state[0]))
        self.deterministic.append(deterministic)
        return np.zeros(len(observation), int), state


def test_returns_lengths_and_the_memory_of_each_episode() -> None:
    agent = Watcher()
    env = VecNormalize(make_environments_of_counters(), norm_reward=False, norm_obs=False, training=False)
    evaluation = evaluate(agent, env, 3, deterministic=False)  # type: ignore[arg-type]
    assert evaluation == Evaluation(returns=(2.0, 4.0, 6.0), lengths=(1, 2, 3))
    assert agent.lengths == [1, 1, 2, 1, 2, 3] and not any(agent.deterministic)
    assert (evaluation.mean, evaluation.worst) == (4.0, 2.0) and evaluation.std == pytest.approx(np.sqrt(8 / 3))


def test_an_agent_reset_every_step_remembers_nothing() -> None:
    class Model:
        def predict(self, observation: Any, state: Any, episode_start: Any, deterministic: bool) -> Any:
            seen.append((state, list(episode_start), deterministic))
            return np.zeros(len(observation), int), "a state"

    seen: list[tuple[Any, list[bool], bool]] = []
    evaluate(ResetEveryStep(Model()), make_environments_of_counters(), 2)  # type: ignore[arg-type]
    assert seen == [(None, [True], True)] * 3


def test_curves_of_several_runs_become_a_picture(run_folder: Path, tmp_path: Path) -> None:
    plot_curves([run_folder, run_folder], tmp_path / "new" / "curves.png")
    for name in ("curves.txt", "curves"):
        with pytest.raises(UserError, match=r"expected the name of a picture, ending in \.png, \.pdf, \.svg, got"):
            plot_curves([run_folder], tmp_path / name)
    assert (tmp_path / "new" / "curves.png").read_bytes().startswith(b"\x89PNG")
    env_id, curves = read_curves([run_folder, run_folder])
    steps = curves[load_run(run_folder).settings.memory][1][:, 0]
    assert env_id == "CartPole-POMDP-v0" and (np.diff(steps) > 0).all()
    with pytest.raises(UserError, match="expected runs of one environment, got no run"):
        read_curves([])


def make_environments_of_counters() -> DummyVecEnv:
    from stable_baselines3.common.monitor import Monitor

    return DummyVecEnv([lambda: Monitor(Counter())])


def test_environments_made_for_an_evaluation_are_closed_again() -> None:
    made = make_environments_of_counters()
    closed: list[bool] = []
    made.close = lambda: closed.append(True)  # type: ignore[method-assign]
    evaluate(Watcher(), lambda: made, 1)  # type: ignore[arg-type]
    assert closed == [True]
    with pytest.raises(UserError, match="at least 1 episode, got 0"):
        evaluate(Watcher(), made, 0)  # type: ignore[arg-type]


def test_a_loaded_run_has_its_wrappers_and_frozen_statistics(run_folder: Path) -> None:
    run = load_run(run_folder)
    env = run.make_environments(n_envs=3)
    # Two positions, the one-hot previous action and the flag.
    assert env.observation_space.shape == (2 + 2 + 1,) and env.num_envs == 3
    assert isinstance(env, VecNormalize) and not env.training and not env.norm_reward and env.norm_obs
    before = env.obs_rms.mean.copy()
    env.reset()
    _, rewards, _, _ = env.step(np.zeros(3, int))
    assert np.array_equal(env.obs_rms.mean, before) and np.array_equal(rewards, np.ones(3))
    env.close()


def test_evaluation_episodes_are_the_same_each_time_and_not_those_of_training(run_folder: Path) -> None:
    run = load_run(run_folder)
    first, again = (beginnings(run.make_environments()) for _ in range(2))
    other, trained = beginnings(run.make_environments(seed=5)), beginnings(run.make_environments(seed=0))
    assert len(first) == EVALUATION_ENVS and np.array_equal(first, again)
    assert not np.isclose(first, other).any() and not np.isclose(first, trained).any()
    assert derived_seed(0, 0) != derived_seed(1, 0) != derived_seed(1, 1)


def beginnings(env: Any) -> np.ndarray:
    start = env.reset()[:, 0]
    env.close()
    return start


def test_an_unfinished_run_is_loaded_from_its_checkpoint(run_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(run_folder, tmp_path / "run"))
    assert load_run(folder).source == folder
    (folder / "model.zip").unlink()
    run = load_run(folder)
    assert run.source == folder / "checkpoint" and not run.finished and run.model.num_timesteps == 64
    assert evaluate(run.model, run.make_environments, 1).returns


@pytest.mark.parametrize("missing", ["config.json", "everything"])
def test_a_folder_that_is_no_run_is_refused(tmp_path: Path, missing: str) -> None:
    folder = tmp_path if missing == "config.json" else tmp_path / "nowhere"
    with pytest.raises(UserError, match=r"the settings of a run|does not exist"):
        load_run(folder)


def test_statistics_of_another_environment_are_refused(run_folder: Path) -> None:
    env = make_environments("Pendulum-v1", {}, Recipe(), 1, seed=0)
    with pytest.raises(UserError, match="expected saved VecNormalize statistics"):
        load_normalization(run_folder / "vecnormalize.pkl", env, training=False)
    env.close()


IMAGE = gym.spaces.Box(0, 255, (36, 36, 3), np.uint8)
VECTOR = gym.spaces.Box(-1, 1, (2,), np.float32)


class Blank(gym.Env):
    """An environment of any observation space."""

    action_space = gym.spaces.Discrete(2)

    def __init__(self, space: gym.Space) -> None:
        self.observation_space = space

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        return self.observation_space.sample(), {}


def test_only_vectors_of_numbers_are_normalised() -> None:
    for space, keys, observations in (
        (VECTOR, None, True),
        (IMAGE, None, False),
        (gym.spaces.Box(0, 255, (16,), np.uint8), None, False),
        (gym.spaces.Discrete(3), None, False),
        (gym.spaces.Dict(image=IMAGE, speed=VECTOR, floor=gym.spaces.Discrete(2)), ["speed"], True),
        (gym.spaces.Dict(image=IMAGE), None, False),
    ):
        env = normalized(DummyVecEnv([partial(Blank, space)]), Recipe())
        assert isinstance(env, VecNormalize) and env.norm_obs is observations and env.norm_reward, space
        assert getattr(env, "norm_obs_keys", None) == keys, space
        plain = normalized(env.venv, Recipe(normalize_observations=False, normalize_rewards=False))
        assert plain is env.venv


def test_references_come_from_the_task() -> None:
    rows, task = dict(reference_rows("CartPole-POMDP-v0", 475.0)), find_task("CartPole-POMDP-v0")
    assert rows.pop("solved from") == "475"
    assert task is not None and len(rows) == 3
    assert float(rows["floor (best without memory)"]) == pytest.approx(task.floor.value, rel=1e-4)
    assert reference_rows("CartPole-v1", 475.0) == [("solved from", "475")]


def test_a_video_is_recorded_under_a_free_name(run_folder: Path) -> None:
    pytest.importorskip("moviepy")
    pytest.importorskip("pygame")
    run = load_run(run_folder)
    first, second = record_video(run), record_video(run)
    assert first != second and first.parent == run_folder / "videos"
    assert first.stat().st_size > 1000 and second.stat().st_size == pytest.approx(first.stat().st_size, rel=0.5)
    assert {path.name for path in first.parent.iterdir()} == {"episode-1.mp4", "episode-2.mp4"}


def test_a_missing_video_package_is_named(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = load_run(run_folder)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'rl-larnn\[video\]'"):
        record_video(run)


def test_a_missing_renderer_is_named(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("moviepy")
    run, original = load_run(run_folder), builtins.__import__

    def without_pygame(name: str, *arguments: Any, **options: Any) -> Any:
        if name.startswith("pygame"):
            raise ImportError(f"No module named {name!r}")
        return original(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without_pygame)
    with pytest.raises(UserError, match=r"pip install 'rl-larnn\[video\]'"):
        record_video(run)


def test_an_environment_without_images_is_refused(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("moviepy")
    run = load_run(run_folder)
    blind = "rl_larnn.agents.evaluation.video.make_env"
    monkeypatch.setattr(blind, lambda *arguments, render_mode: make_env(*arguments))
    with pytest.raises(UserError, match="cannot be rendered as images"):
        record_video(replace(run))

"""Periodic evaluation keeps the agents that do best, and changes nothing else."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from rl_larnn.agents.evaluation.evaluate import Evaluation
from rl_larnn.agents.evaluation.load import load_run
from rl_larnn.agents.recurrent_ppo import RecurrentPPO
from rl_larnn.agents.runs.results import Progress
from rl_larnn.agents.training import Run, TrainConfig, loop, resume, train
from rl_larnn.agents.training.online import OnlineLearner
from rl_larnn.agents.training.selection import keep, top_checkpoints
from rl_larnn.agents.training.session import Session
from rl_larnn.errors import Interrupted
from tests.training_cases import curve

ROLLOUT = 32
TINY = {"n_steps": 16, "batch_size": 32, "n_epochs": 1, "seq_len": 16, "hidden_size": 8, "learning_rate": 0.01}
CONFIG = TrainConfig("CartPole-POMDP", "gru", n_timesteps=160, n_envs=2, settings=TINY, eval_episodes=2, device="cpu")


def make_vec() -> VecEnv:
    return DummyVecEnv([lambda: gym.make("CartPole-POMDP-v0")] * 2)


def weights(model: RecurrentPPO) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten().clone() for parameter in model.policy.parameters()])


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[list[float], list[torch.Tensor]]]:
    """The returns that the evaluations to come will have; and the weights that were evaluated."""
    returns: list[float] = []
    tried: list[torch.Tensor] = []

    def pretend(model: RecurrentPPO, env: object, n_episodes: int) -> Evaluation:
        tried.append(weights(model))
        return Evaluation((returns.pop(0),), (7,))

    monkeypatch.setattr(loop, "evaluate", pretend)
    yield returns, tried


def kept(run: Run) -> list[tuple[float, int]]:
    return [(checkpoint.mean_return, checkpoint.steps // ROLLOUT) for checkpoint in top_checkpoints(run.folder)]


def test_the_four_best_are_kept_and_the_later_of_equals(
    planned: tuple[list[float], list[torch.Tensor]], tmp_path: Path
) -> None:
    returns, tried = planned
    returns += [10, 30, 20, 30, 5, 20, 1]
    run = train(replace(CONFIG, n_timesteps=7 * ROLLOUT, run_dir=tmp_path / "run", eval_freq=ROLLOUT))
    assert returns == []
    assert kept(run) == [(30, 4), (30, 2), (20, 6), (20, 3)]
    for checkpoint in top_checkpoints(run.folder):
        model = RecurrentPPO.load(checkpoint.folder / "model.zip", device="cpu")
        torch.testing.assert_close(weights(model), tried[checkpoint.steps // ROLLOUT - 1], rtol=0, atol=0)


def test_a_resumed_run_remembers_the_best(planned: tuple[list[float], list[torch.Tensor]], tmp_path: Path) -> None:
    returns, _ = planned
    returns += [30, 25, 20, 10, 5, 25, 29]
    run = train(replace(CONFIG, run_dir=tmp_path / "run", eval_freq=ROLLOUT))
    assert kept(run) == [(30, 1), (25, 2), (20, 3), (10, 4)]
    longer = resume(run.folder, n_timesteps=160 + 2 * ROLLOUT)
    assert returns == [] and longer.result.steps == 160 + 2 * ROLLOUT
    assert kept(longer) == [(30, 1), (29, 7), (25, 6), (25, 2)]


def test_an_evaluation_that_is_repeated_takes_the_place_of_the_first(
    planned: tuple[list[float], list[torch.Tensor]], tmp_path: Path
) -> None:
    """As after a kill, when training goes on from a checkpoint before the evaluation."""
    returns, _ = planned
    returns += [10, 30, 20, 10, 15]
    run = train(replace(CONFIG, run_dir=tmp_path / "run", eval_freq=ROLLOUT))
    model = RecurrentPPO.load(run.folder / "best" / "64" / "model.zip", env=make_vec(), device="cpu")
    session = Session(run.folder, run.settings, OnlineLearner(run.settings, make_vec(), model), Progress())
    keep(session, 5.0)
    assert kept(run) == [(20, 3), (15, 5), (10, 4), (5, 2)]


def test_a_kill_while_one_is_dropped_leaves_no_half_checkpoint(
    planned: tuple[list[float], list[torch.Tensor]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned[0].extend([10, 30, 20, 15, 40])

    remove = shutil.rmtree

    def killed(folder: Path, ignore_errors: bool = False) -> None:
        if ignore_errors:  # the replacing, not the dropping
            return remove(folder, ignore_errors)
        (folder / "model.zip").unlink()
        raise KeyboardInterrupt

    monkeypatch.setattr("shutil.rmtree", killed)
    with pytest.raises(Interrupted):
        train(replace(CONFIG, run_dir=tmp_path / "run", eval_freq=ROLLOUT))
    left = top_checkpoints(tmp_path / "run")
    assert [checkpoint.steps // ROLLOUT for checkpoint in left] == [5, 2, 3, 4]
    assert all((checkpoint.folder / "model.zip").exists() for checkpoint in left)


def test_when_evaluations_are_due_does_not_depend_on_interruptions(
    planned: tuple[list[float], list[torch.Tensor]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    returns, _ = planned
    returns += [10.0] * 20
    whole = train(replace(CONFIG, run_dir=tmp_path / "whole", eval_freq=2 * ROLLOUT))
    folder, run_if_due = tmp_path / "cut", loop.PeriodicEvaluation.run_if_due
    for steps in range(ROLLOUT, 5 * ROLLOUT + 1, ROLLOUT):  # a session for each rollout, as if killed after it
        config = replace(CONFIG, n_timesteps=steps, run_dir=folder, eval_freq=2 * ROLLOUT)
        monkeypatch.setattr(loop.PeriodicEvaluation, "run_if_due", lambda self, last: run_if_due(self, False))
        cut = train(config) if steps == ROLLOUT else resume(folder, n_timesteps=steps)
    assert (
        [step for step, _ in cut.result.evaluations] == [step for step, _ in whole.result.evaluations][:-1] == [64, 128]
    )


def test_an_evaluation_plays_the_same_episodes_whenever_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first: list[np.ndarray] = []

    def look(model: RecurrentPPO, env: VecEnv, n_episodes: int) -> Evaluation:
        env.reset()
        first.append(env.get_original_obs())  # type: ignore[attr-defined]
        return Evaluation((0.0,), (7,))

    monkeypatch.setattr(loop, "evaluate", look)
    train(replace(CONFIG, n_timesteps=2 * ROLLOUT, run_dir=tmp_path / "cut", eval_freq=ROLLOUT))
    resume(tmp_path / "cut", n_timesteps=4 * ROLLOUT)
    cut = [*first]
    first.clear()
    train(replace(CONFIG, n_timesteps=4 * ROLLOUT, run_dir=tmp_path / "whole", eval_freq=ROLLOUT))
    np.testing.assert_array_equal(cut, first)
    assert len({float(seen[0, 0]) for seen in cut}) == 4


def test_evaluations_leave_the_training_as_it_is(tmp_path: Path) -> None:
    runs = {freq: train(replace(CONFIG, run_dir=tmp_path / str(freq), eval_freq=freq)) for freq in (0, ROLLOUT)}
    without, tried = (load_run(run.folder / "checkpoint" / "..").folder for run in runs.values())
    ends = [RecurrentPPO.load(folder / "checkpoint" / "model.zip", device="cpu") for folder in (without, tried)]
    torch.testing.assert_close(weights(ends[0]), weights(ends[1]), rtol=0, atol=0)
    assert curve(runs[0]) and curve(runs[0]) == curve(runs[ROLLOUT])
    assert not (runs[0].folder / "best").exists() and runs[0].result.best_at == 160


def test_evaluations_are_off_the_clock() -> None:
    progress = Progress()
    before = progress.wall_s
    with progress.paused():
        time.sleep(0.2)
    assert progress.wall_s - before < 0.1

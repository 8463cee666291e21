"""Stopping a run loses nothing that a checkpoint held, and it goes on as if it had never stopped."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from rl_larnn.agents.evaluation.load import load_run
from rl_larnn.agents.recurrent_ppo import RecurrentPPO
from rl_larnn.agents.runs.folder import load_settings
from rl_larnn.agents.runs.logs import read_curve, run_logger
from rl_larnn.agents.training import Run, finish, resume, train
from rl_larnn.agents.training.online import online_run
from rl_larnn.agents.training.session import Session, load_checkpoint, save_checkpoint
from rl_larnn.errors import Interrupted, UserError
from tests.training_cases import (
    CONFIG,
    ROLLOUT,
    OnMessage,
    copy,
    curve,
    event_steps,
    interrupt,
    rows,
    signal_in_update,
    trouble,
)


def session_of(folder: Path) -> Session:
    return load_checkpoint(folder, online_run(load_settings(folder)))


def test_ctrl_c_saves_what_was_learned_and_nothing_half_done(interrupted: Path) -> None:
    # 100 steps in each of two environments: six whole rollouts, and a piece of the seventh that taught nothing.
    state = json.loads((interrupted / "checkpoint" / "state.json").read_text())
    assert state["steps"] == 6 * ROLLOUT
    assert not (interrupted / "result.json").exists()


pytestmark = pytest.mark.usefixtures("troubled")


@pytest.mark.parametrize(("name", "status"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_tells_where_to_go_on_and_leaves_handlers_as_they_were(name: str, status: int, tmp_path: Path) -> None:
    before = signal.getsignal(getattr(signal, name))
    with pytest.raises(Interrupted, match=f"stopped by {name}; checkpoint at step {ROLLOUT}") as caught:
        train(trouble(20, name, tmp_path / "run"))
    assert caught.value.exit_status == status and caught.value.folder == tmp_path / "run"
    assert signal.getsignal(getattr(signal, name)) is before


def test_a_resumed_run_goes_on_as_if_it_had_never_stopped(interrupted: Path, finished: Run, tmp_path: Path) -> None:
    run = resume(copy(interrupted, tmp_path))
    assert run.result.steps == 320
    steps = [int(row["time/total_timesteps"]) for row in rows(run.folder)]
    assert steps == [int(row["time/total_timesteps"]) for row in rows(finished.folder)]
    assert event_steps(run.folder, "time/fps") == steps
    # Schedules follow the line of the whole run, and no update is missing from the logs.
    for key in ("train/learning_rate", "train/clip_range", "train/n_updates"):
        assert [row[key] for row in rows(run.folder)] == [row[key] for row in rows(finished.folder)], key
    assert event_steps(run.folder, "train/loss") == steps[1:]
    before = read_curve(interrupted)[:6].tolist()
    assert curve(run)[: len(before)] == before


def test_a_kill_loses_only_what_came_after_the_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    folder = tmp_path / "run"
    kept = 4 * ROLLOUT

    def kill_later(model: Any, *arguments: Any) -> Any:
        if model.num_timesteps == 7 * ROLLOUT:
            raise Killed
        return train_step(model, *arguments)

    train_step = RecurrentPPO.train
    monkeypatch.setattr(RecurrentPPO, "train", kill_later)
    with pytest.raises(Killed):
        train(replace(CONFIG, run_dir=folder, checkpoint_freq=kept))
    monkeypatch.undo()
    assert int(rows(folder)[-1]["time/total_timesteps"]) == 7 * ROLLOUT
    # A kill may also cut the line that was being written.
    with (folder / "progress.csv").open("a") as file:
        file.write("256,1")
    session = session_of(folder)
    session.learner.env.close()
    assert session.learner.model.num_timesteps == kept
    run = resume(folder)
    steps = list(range(ROLLOUT, 321, ROLLOUT))
    assert [int(row["time/total_timesteps"]) for row in rows(folder)] == steps
    assert event_steps(folder, "time/fps") == steps and run.result.steps == 320


def test_two_sessions_from_one_checkpoint_are_the_same(interrupted: Path, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    first, second = (resume(copy(interrupted, tmp_path / name)) for name in "ab")
    assert curve(first) == curve(second) and first.evaluation == second.evaluation


def test_a_checkpoint_holds_model_statistics_and_random_numbers(interrupted: Path, tmp_path: Path) -> None:
    folder = copy(interrupted, tmp_path)
    session = session_of(folder)
    session.learner.env.reset()
    session.learner.model.set_logger(run_logger(folder, session.learner.model.num_timesteps))
    torch.manual_seed(7), np.random.seed(7)
    save_checkpoint(session)
    expected = torch.rand(3), np.random.rand(3)
    again = session_of(folder)
    assert torch.equal(torch.rand(3), expected[0]) and np.array_equal(np.random.rand(3), expected[1])
    assert np.array_equal(again.learner.env.obs_rms.mean, session.learner.env.obs_rms.mean)
    assert np.array_equal(again.learner.env.ret_rms.var, session.learner.env.ret_rms.var) and again.learner.env.training
    for key, value in session.learner.model.policy.state_dict().items():
        assert torch.equal(again.learner.model.policy.state_dict()[key], value), key
    moments = [model.policy.optimizer.state_dict()["state"] for model in (session.learner.model, again.learner.model)]
    assert moments[0] and all(torch.equal(moments[0][k]["exp_avg"], moments[1][k]["exp_avg"]) for k in moments[0])
    session.learner.model.logger.close(), session.learner.env.close(), again.learner.env.close()


def test_resumed_environments_do_not_repeat_the_first_episodes(interrupted: Path) -> None:
    fresh = gym.make("CartPole-POMDP-v0")
    beginning = fresh.reset(seed=0)[0]
    session = session_of(interrupted)
    session.learner.env.reset()
    assert not np.allclose(session.learner.env.get_original_obs()[0], beginning)
    session.learner.env.close(), fresh.close()


def test_a_signal_in_the_middle_of_an_update_waits_for_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signal_in_update(monkeypatch, [signal.SIGINT])
    with pytest.raises(Interrupted) as caught:
        train(replace(CONFIG, run_dir=tmp_path / "run"))
    assert caught.value.steps == 3 * ROLLOUT
    assert resume(tmp_path / "run").result.steps == 320


def test_a_second_signal_gives_up_the_update_but_not_the_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signal_in_update(monkeypatch, [signal.SIGINT, signal.SIGINT])
    with pytest.raises(Interrupted) as caught:
        train(replace(CONFIG, run_dir=tmp_path / "run", checkpoint_freq=2 * ROLLOUT))
    assert caught.value.steps == 2 * ROLLOUT
    assert json.loads((tmp_path / "run/checkpoint/state.json").read_text())["steps"] == 2 * ROLLOUT


def test_an_interrupted_evaluation_is_all_that_is_left_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finish, "evaluate", interrupt)
    with pytest.raises(Interrupted):
        train(replace(CONFIG, run_dir=tmp_path / "run"))
    monkeypatch.undo()
    run = resume(tmp_path / "run")
    assert run.result.steps == 320 and run.result.eval_episodes == 3
    steps = [step for step, _ in run.result.evaluations]
    assert steps == sorted(set(steps)), "no evaluation twice"


def test_a_longer_run_that_was_stopped_is_not_taken_for_the_shorter(
    finished: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copy(finished.folder, tmp_path)

    monkeypatch.setattr(finish, "evaluate", interrupt)
    with pytest.raises(Interrupted):
        resume(folder, n_timesteps=384)
    assert not (folder / "result.json").exists()
    monkeypatch.undo()
    assert resume(folder).result.steps == 384
    with pytest.raises(UserError, match=r"is finished: 384 steps of 100; .* such as -n 768"):
        resume(folder, n_timesteps=100)
    assert (folder / "result.json").exists()


def test_while_a_longer_run_trains_its_checkpoint_is_its_agent(finished: Run, tmp_path: Path) -> None:
    folder, seen = copy(finished.folder, tmp_path), list[bool]()
    resume(folder, n_timesteps=352, reporter=OnMessage(lambda: seen.append(load_run(folder).finished)))
    assert seen == [False] and load_run(folder).finished


def test_a_run_cut_off_at_its_end_is_not_taken_for_a_longer_one(finished: Run, tmp_path: Path) -> None:
    folder, seen = copy(finished.folder, tmp_path), list[bool]()
    (folder / "result.json").unlink()  # as of a run that was killed in its final evaluation
    resume(folder, n_timesteps=352, reporter=OnMessage(lambda: seen.append(load_run(folder).finished)))
    assert seen == [False] and load_run(folder).finished


def test_a_run_is_trained_by_one_process_at_a_time(interrupted: Path, tmp_path: Path) -> None:
    folder = copy(interrupted, tmp_path)

    def meanwhile() -> None:
        with pytest.raises(UserError, match="another process is training the run"):
            resume(folder)

    assert resume(folder, reporter=OnMessage(meanwhile)).result.steps == 320


def test_less_than_is_done_is_refused(interrupted: Path, tmp_path: Path) -> None:
    folder = copy(interrupted, tmp_path)
    with pytest.raises(UserError, match=r"has done 192 steps already, got 100: leave it out to continue to 320"):
        resume(folder, n_timesteps=100)
    assert load_settings(folder).recipe.n_timesteps == 320


def test_a_finished_run_goes_on_only_when_asked_for_more(finished: Run, tmp_path: Path) -> None:
    folder = copy(finished.folder, tmp_path)
    with pytest.raises(UserError, match="is finished: 320 steps of 320; to train it longer"):
        resume(folder)
    with pytest.raises(UserError, match="n_timesteps must be at least 1, got 0"):
        resume(folder, n_timesteps=0)
    run = resume(folder, n_timesteps=400)
    assert run.result.steps == 13 * ROLLOUT
    assert load_settings(folder).recipe.n_timesteps == 400

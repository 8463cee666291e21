"""Training as a function: what a run leaves behind, and that stopping it loses nothing that a checkpoint held."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rl_larnn.agents import training
from rl_larnn.agents.config import load_settings
from rl_larnn.agents.errors import Interrupted, UserError
from rl_larnn.agents.evaluation.evaluate import evaluate
from rl_larnn.agents.evaluation.load import load_run
from rl_larnn.agents.progress import WINDOW, Progress
from rl_larnn.agents.recurrent_ppo import RecurrentPPO
from rl_larnn.agents.results import Result
from rl_larnn.agents.snapshots import load_checkpoint, save_checkpoint
from rl_larnn.agents.training import Run, TrainConfig, resume, train
from rl_larnn.agents.values import Linear

ROLLOUT = 32
SCHEDULES = {"learning_rate": Linear(1e-3), "clip_range": Linear(0.2)}
TINY = {"n_steps": 16, "batch_size": 32, "n_epochs": 1, "seq_len": 16, "hidden_size": 8, **SCHEDULES}
SIZES = {"n_timesteps": 320, "n_envs": 2, "eval_episodes": 3, "eval_freq": 0}  # trials are the matter of test_best.py
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


@pytest.fixture(scope="module", autouse=True)
def troubled() -> Iterator[None]:
    gym.register("Troubled-v0", entry_point=Troubled, max_episode_steps=500, reward_threshold=475)
    yield
    del gym.registry["Troubled-v0"]


def trouble(at: int, kind: str, folder: Path) -> TrainConfig:
    return replace(CONFIG, env="Troubled-v0", env_kwargs={"at": at, "trouble": kind}, run_dir=folder)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(replace(CONFIG, run_dir=tmp_path_factory.mktemp("finished") / "run"))


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run stopped by Ctrl-C in the middle of its seventh rollout, the third after its last regular checkpoint."""
    folder = tmp_path_factory.mktemp("interrupted") / "run"
    with pytest.raises(Interrupted):
        train(replace(trouble(100, "SIGINT", folder), checkpoint_freq=4 * ROLLOUT))
    return folder


def copy(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run, tmp_path / "copy"))


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "progress.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def event_steps(folder: Path, tag: str) -> list[int]:
    events = EventAccumulator(str(folder))
    events.Reload()
    return [event.step for event in events.Scalars(tag)]


def test_a_finished_run_holds_all_that_is_promised(finished: Run) -> None:
    names = {path.name for path in finished.folder.iterdir() if "tfevents" not in path.name}
    assert names == {"config.json", "progress.csv", "checkpoint", "model.zip", "vecnormalize.pkl", "result.json"}
    result = json.loads((finished.folder / "result.json").read_text())
    assert result == asdict(finished.result) and Result(**result) == finished.result
    assert result["env"] == "CartPole-POMDP-v0" and result["memory"] == "gru" and result["seed"] == 0
    assert result["steps"] == 320 and result["eval_episodes"] == 3 and result["threads"] == 1
    assert result["threshold"] == 475 and result["solved_at_steps"] is None and result["solved_at_s"] is None
    assert result["steps_per_s"] == pytest.approx(320 / result["wall_s"], rel=0.01)
    assert {"torch", "stable_baselines3", "gymnasium", "rl_larnn"} <= result["versions"].keys()
    assert json.loads((finished.folder / "config.json").read_text())["versions"] == result["versions"]


def test_the_curve_is_in_tensorboard_and_in_the_csv(finished: Run) -> None:
    steps = list(range(ROLLOUT, 321, ROLLOUT))
    assert [int(row["time/total_timesteps"]) for row in rows(finished.folder)] == steps
    assert event_steps(finished.folder, "time/fps") == steps
    assert event_steps(finished.folder, "rollout/ep_rew_mean") == [point[0] for point in finished.curve]
    assert all(1 <= mean <= 500 for _, mean, _ in finished.curve)


def test_the_saved_agent_is_the_evaluated_one(finished: Run) -> None:
    loaded = load_run(finished.folder, device="cpu")
    assert loaded.finished and loaded.settings == finished.settings
    assert evaluate(loaded.model, loaded.make_environments, 3) == finished.evaluation
    assert finished.evaluation.mean == finished.result.mean_return


def test_the_seed_decides_everything(finished: Run, tmp_path: Path) -> None:
    same = train(replace(CONFIG, run_dir=tmp_path / "same"))
    other = train(replace(CONFIG, run_dir=tmp_path / "other", seed=1))
    assert curve(same) == curve(finished) and same.evaluation == finished.evaluation
    assert curve(other) != curve(finished)


def curve(run: Run) -> list[tuple[int, float]]:
    return [(steps, mean) for steps, mean, _ in run.curve]


def test_ctrl_c_saves_what_was_learned_and_nothing_half_done(interrupted: Path) -> None:
    # 100 steps in each of two environments: six whole rollouts, and a piece of the seventh that taught nothing.
    state = json.loads((interrupted / "checkpoint" / "state.json").read_text())
    assert state["steps"] == 6 * ROLLOUT
    assert not (interrupted / "result.json").exists()


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
    before = json.loads((interrupted / "checkpoint" / "state.json").read_text())["progress"]["curve"]
    assert [list(point) for point in run.curve[: len(before)]] == before
    assert [point[2] for point in run.curve] == sorted(point[2] for point in run.curve)


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
    session = load_checkpoint(folder, load_settings(folder))
    session.env.close()
    assert session.model.num_timesteps == kept
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
    session = load_checkpoint(folder, load_settings(folder))
    session.env.reset()
    session.model.set_logger(training.run_logger(folder, session.model.num_timesteps))
    torch.manual_seed(7), np.random.seed(7)
    save_checkpoint(session)
    expected = torch.rand(3), np.random.rand(3)
    again = load_checkpoint(folder, session.settings)
    assert torch.equal(torch.rand(3), expected[0]) and np.array_equal(np.random.rand(3), expected[1])
    assert np.array_equal(again.env.obs_rms.mean, session.env.obs_rms.mean)
    assert np.array_equal(again.env.ret_rms.var, session.env.ret_rms.var) and again.env.training
    for key, value in session.model.policy.state_dict().items():
        assert torch.equal(again.model.policy.state_dict()[key], value), key
    moments = [model.policy.optimizer.state_dict()["state"] for model in (session.model, again.model)]
    assert moments[0] and all(torch.equal(moments[0][k]["exp_avg"], moments[1][k]["exp_avg"]) for k in moments[0])
    session.model.logger.close(), session.env.close(), again.env.close()


def test_resumed_environments_do_not_repeat_the_first_episodes(interrupted: Path) -> None:
    fresh = gym.make("CartPole-POMDP-v0")
    beginning = fresh.reset(seed=0)[0]
    session = load_checkpoint(interrupted, load_settings(interrupted))
    session.env.reset()
    assert not np.allclose(session.env.get_original_obs()[0], beginning)
    session.env.close(), fresh.close()


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


def signal_in_update(monkeypatch: pytest.MonkeyPatch, signals: list[signal.Signals]) -> None:
    """Send signals in the middle of the third update."""
    model_class = RecurrentPPO
    update = model_class.train

    def interrupted_update(model: Any) -> None:
        while model.num_timesteps == 3 * ROLLOUT and signals:
            signal.raise_signal(signals.pop())
        update(model)

    monkeypatch.setattr(model_class, "train", interrupted_update)


def test_an_interrupted_evaluation_is_all_that_is_left_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "evaluate", interrupt)
    with pytest.raises(Interrupted):
        train(replace(CONFIG, run_dir=tmp_path / "run"))
    monkeypatch.undo()
    run = resume(tmp_path / "run")
    assert run.result.steps == 320 and run.result.eval_episodes == 3
    steps = [step for step, _ in run.result.trials]
    assert steps == sorted(set(steps)), "no trial twice"


def test_a_longer_run_that_was_stopped_is_not_taken_for_the_shorter(
    finished: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copy(finished.folder, tmp_path)

    def interrupt(*arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "evaluate", interrupt)
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
    resume(folder, n_timesteps=352, announce=lambda *_: seen.append(load_run(folder).finished))
    assert seen == [False] and load_run(folder).finished


def test_statistics_are_saved_beside_images(tmp_path: Path) -> None:
    """Stable-Baselines3 puts a wrapper of its own over the normaliser, to turn images."""
    gym.register("Images-v0", entry_point=Images, max_episode_steps=20)
    run = train(replace(CONFIG, env="Images-v0", run_dir=tmp_path / "run", n_timesteps=64))
    del gym.registry["Images-v0"]
    for folder in (run.folder, run.folder / "checkpoint"):
        assert (folder / "vecnormalize.pkl").exists()


def test_training_works_outside_the_main_thread(tmp_path: Path) -> None:
    runs: list[Run] = []
    thread = threading.Thread(target=lambda: runs.append(train(replace(CONFIG, run_dir=tmp_path / "run"))))
    thread.start()
    thread.join()
    assert runs[0].result.steps == 320


def test_nan_is_told_with_its_place_and_the_last_good_checkpoint(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with pytest.raises(UserError, match=r"environment 0 returned a.* observation") as caught:
        train(trouble(100, "nan", folder))
    assert f"the last good checkpoint, of step {6 * ROLLOUT}, is kept in {folder / 'checkpoint'}" in str(caught.value)
    assert "\n" not in str(caught.value) and not (folder / "model.zip").exists()
    loaded = load_run(folder)
    assert not loaded.finished
    assert all(torch.isfinite(value).all() for value in loaded.model.policy.state_dict().values())


def test_a_finished_run_goes_on_only_when_asked_for_more(finished: Run, tmp_path: Path) -> None:
    folder = copy(finished.folder, tmp_path)
    with pytest.raises(UserError, match="is finished: 320 steps of 320; to train it longer"):
        resume(folder)
    with pytest.raises(UserError, match="n_timesteps must be at least 1, got 0"):
        resume(folder, n_timesteps=0)
    run = resume(folder, n_timesteps=400)
    assert run.result.steps == 13 * ROLLOUT
    assert load_settings(folder).recipe.n_timesteps == 400


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def replace_by_text(path: Path) -> None:
    path.write_text("something else")


@pytest.mark.parametrize("damage", [truncate, replace_by_text, Path.unlink])
@pytest.mark.parametrize("name", ["config.json", "checkpoint/state.json", "checkpoint/model.zip"])
def test_a_damaged_run_is_told_in_one_line(
    interrupted: Path, tmp_path: Path, name: str, damage: Callable[[Path], None]
) -> None:
    folder = copy(interrupted, tmp_path)
    damage(folder / name)
    with pytest.raises(UserError, match="expected") as caught:
        resume(folder)
    assert str(folder / name) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["config.json", "checkpoint/state.json"])
def test_json_of_something_else_is_told_in_one_line(interrupted: Path, tmp_path: Path, name: str) -> None:
    folder = copy(interrupted, tmp_path)
    (folder / name).write_text('{"steps": 1}')
    with pytest.raises(UserError, match="got a foreign file"):
        resume(folder)


def test_damaged_statistics_are_told_in_one_line(interrupted: Path, tmp_path: Path) -> None:
    folder = copy(interrupted, tmp_path)
    truncate(folder / "checkpoint" / "vecnormalize.pkl")
    with pytest.raises(UserError, match="expected saved VecNormalize statistics"):
        resume(folder)


def test_a_refused_run_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="n_steps must be a multiple of seq_len, got n_steps=16 and seq_len=10"):
        train(replace(CONFIG, settings={**TINY, "seq_len": 10}))
    with pytest.raises(UserError, match="heads"):
        train(replace(CONFIG, memory="aaren", settings={**TINY, "heads": 3}))
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_refused_before_anything_else(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="exists already"):
        train(replace(CONFIG, env="no such environment", run_dir=tmp_path))


def test_threads_are_set_for_the_run_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def note(*arguments: Any) -> None:
        seen.append(torch.get_num_threads())
        raise UserError("enough")

    monkeypatch.setattr(training, "learn", note)
    torch.set_num_threads(1)
    with pytest.raises(UserError, match="enough"):
        train(replace(CONFIG, run_dir=tmp_path / "run", threads=2))
    assert seen == [2] and torch.get_num_threads() == 1


def test_solved_is_the_first_time_a_full_window_reaches_the_threshold() -> None:
    progress = Progress(threshold=10.0)
    for steps in range(1, WINDOW):
        progress.add_episode(1000.0, steps)
    assert progress.solved_at_steps is None, "fewer episodes than the window do not count"
    for steps in range(WINDOW, 2 * WINDOW):
        progress.add_episode(0.0, steps)
    # After n zeros the mean is 1000 * (100 - n) / 100, which is at least 10 from the first full window on.
    assert progress.solved_at_steps == WINDOW
    assert Progress(threshold=None).solved_at_steps is None


def test_the_account_survives_json_and_its_clock_stops_between_sessions() -> None:
    progress = Progress(threshold=5.0, earlier_s=100.0)
    for steps in range(1, 151):
        progress.add_episode(float(steps % 7 + 3), steps)
    progress.add_point(150)
    again = Progress.from_json(json.loads(json.dumps(progress.to_json())))
    assert again == replace(progress, earlier_s=again.earlier_s)
    assert again.recent.maxlen == WINDOW and 100 <= again.wall_s < 110


def test_the_bar_shows_return_and_speed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []

    class Terminal:
        encoding = "utf-8"

        def write(self, text: str) -> None:
            shown.append(text)

        def flush(self) -> None: ...

        def isatty(self) -> bool:
            return True

        def fileno(self) -> int:
            return os.open(os.devnull, os.O_RDONLY)

    monkeypatch.setattr("sys.stderr", Terminal())
    train(replace(CONFIG, run_dir=tmp_path / "run", progress_bar=True))
    text = "".join(shown)
    assert " steps/s" in text and "return " in text and "/320" in text

"""Training as a function: what a run leaves behind, and what it refuses."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
import torch

from rl_larnn.agents.evaluation.evaluate import evaluate
from rl_larnn.agents.evaluation.load import load_run
from rl_larnn.agents.reporting.reporter import TerminalReporter
from rl_larnn.agents.runs.results import OnlineResult
from rl_larnn.agents.training import Run, train
from rl_larnn.agents.training import run as training
from rl_larnn.errors import UserError
from tests.training_cases import (
    CONFIG,
    ROLLOUT,
    TINY,
    Images,
    curve,
    event_steps,
    rows,
    trouble,
)


def test_a_finished_run_holds_all_that_is_promised(finished: Run) -> None:
    names = {path.name for path in finished.folder.iterdir() if "tfevents" not in path.name}
    assert names == {"config.json", "progress.csv", "checkpoint", "model.zip", "vecnormalize.pkl", "result.json"}
    result = json.loads((finished.folder / "result.json").read_text())
    assert result == asdict(finished.result) and OnlineResult(**result) == finished.result
    assert result["env"] == "CartPole-POMDP-v0" and result["memory"] == "gru" and result["seed"] == 0
    assert result["steps"] == 320 and result["eval_episodes"] == 3 and result["threads"] == 1
    assert result["threshold"] == 475 and result["solved_at_steps"] is None and result["solved_at_s"] is None
    assert result["steps_per_s"] == pytest.approx(320 / result["wall_s"], rel=0.01)
    assert {"torch", "stable_baselines3", "gymnasium", "rl_larnn"} <= result["versions"].keys()
    assert json.loads((finished.folder / "config.json").read_text())["versions"] == result["versions"]


pytestmark = pytest.mark.usefixtures("troubled")


def test_the_curve_is_in_tensorboard_and_in_the_csv(finished: Run) -> None:
    steps = list(range(ROLLOUT, 321, ROLLOUT))
    assert [int(row["time/total_timesteps"]) for row in rows(finished.folder)] == steps
    assert event_steps(finished.folder, "time/fps") == steps
    assert event_steps(finished.folder, "rollout/ep_rew_mean") == [steps for steps, _ in curve(finished)]
    assert all(1 <= mean <= 500 for _, mean in curve(finished))


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

    monkeypatch.setattr(training, "Loop", note)
    torch.set_num_threads(1)
    with pytest.raises(UserError, match="enough"):
        train(replace(CONFIG, run_dir=tmp_path / "run", threads=2))
    assert seen == [2] and torch.get_num_threads() == 1


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
    train(replace(CONFIG, run_dir=tmp_path / "run"), TerminalReporter())
    text = "".join(shown)
    assert " steps/s" in text and "return " in text and "/320" in text

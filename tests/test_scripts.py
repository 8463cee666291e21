"""The two command lines: what they print, their exit status, and that a kill loses nothing."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.script_cases import SCRIPTS, Call, caller

TINY = ["n_steps=16", "batch_size=32", "n_epochs=1", "seq_len=16", "hidden_size=8"]
TRAIN = ["--env", "CartPole-POMDP", "--memory", "gru", "--n-envs", "2", "--device", "cpu", "--eval-episodes", "2"]
TRAIN += [part for pair in TINY for part in ("--set", pair)]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs the script of a name in an empty working directory."""
    monkeypatch.chdir(tmp_path)
    return lambda name, *arguments: caller(name, monkeypatch, capsys)(*arguments)


def test_train_then_evaluate(call: Call, tmp_path: Path) -> None:
    status, out, err = call("train_agent", *TRAIN, "-n", "64", "--seed", "3")
    assert (status, err) == (0, "")
    assert "recipe CartPole-POMDP-v0" in out and "gamma=0.99" in out and "hidden_size=8" in out
    folder = Path("runs/CartPole-POMDP-v0/gru-s3")
    result = json.loads((folder / "result.json").read_text())
    assert f"{result['mean_return']:.1f} ± {result['std_return']:.1f}" in out
    for label in ("floor", "ceiling", "random", "steps/s", f"tensorboard --logdir {folder}"):
        assert label in out
    command = shlex.split(re.search(r"evaluate: +python (.*)", out)[1])  # type: ignore[index]
    assert command == ["scripts/evaluate_agent.py", str(folder)]
    status, out, err = call("evaluate_agent", str(folder), "--episodes", "2", "--device", "cpu")
    # The same fresh episodes as in the evaluation after training.
    assert (status, err) == (0, "") and f"{result['mean_return']:.2f}" in out
    for label in ("mean return", "standard deviation", "worst", "floor", "ceiling", "solved from"):
        assert label in out
    assert call("train_agent", *TRAIN, "-n", "64", "--seed", "3")[0] == 0
    assert Path("runs/CartPole-POMDP-v0/gru-s3-2/result.json").exists()
    stochastic = [call("evaluate_agent", str(folder), "--episodes", "2", "--stochastic", "--seed", "4") for _ in "ab"]
    assert stochastic[0] == stochastic[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--env", "CartPole-POMPD"], "CartPole-POMDP"),
        (["--memory", "laarn"], "did you mean larnn"),
        (["--set", "seq_len=10"], "n_steps must be a multiple of seq_len, got n_steps=16 and seq_len=10; nearest:"),
        (["--set", "sequence_length=10"], "unknown setting"),
        (["--set", "gamma"], "--set expects key=value, got 'gamma'"),
        (["--set", "gamma=high"], "gamma expects float, got 'high'"),
        (["--set", "heads=3"], "unknown setting 'heads'"),
        (["--env-kwargs", "gravity=9.81", "x"], "--env-kwargs expects key=value, got 'x'"),
        (["--env-kwargs", "gravity=9.81"], "cannot make the environment"),
        (["--device", "cuda:77"], "torch sees"),
        (["--device", "tpu"], "expected the device"),
        (["--run-dir", "."], "exists already: pass --resume"),
        (["-n", "many"], "invalid int value: 'many'; see --help"),
        (["-n", "0"], "n_timesteps must be"),
        (["--vec-env", "thread"], "invalid choice: 'thread'"),
        (["--no-such-option"], "unrecognized arguments: --no-such-option; see --help"),
        (["--resume", "."], "not allowed with argument --env"),
    ],
)
def test_bad_input_gets_one_line_and_status_2(call: Call, tmp_path: Path, arguments: list[str], message: str) -> None:
    status, out, err = call("train_agent", *TRAIN, *arguments)
    assert (status, out) == (2, "")
    assert err.startswith("error: ") and err.count("\n") == 1 and message in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("train_agent", [], "one of the arguments --env --resume is required"),
        ("train_agent", ["--resume", "nowhere"], "expected a run folder, got nowhere, which does not exist"),
        ("train_agent", ["--resume", "."], "cannot read config.json: expected the settings of a run"),
        ("train_agent", ["--resume", ".", "--seed", "1", "--set", "gamma=1"], "got --seed, --set as well"),
        ("evaluate_agent", ["nowhere"], "expected a run folder"),
        ("evaluate_agent", ["."], "cannot read config.json"),
        ("evaluate_agent", [".", "--device", "cuda:77"], "cannot read config.json"),
        ("evaluate_agent", [], "the following arguments are required: RUN; see --help"),
    ],
)
def test_bad_runs_get_one_line_and_status_2(call: Call, name: str, arguments: list[str], message: str) -> None:
    status, out, err = call(name, *arguments)
    assert (status, out) == (2, "")
    assert err.startswith("error: ") and err.count("\n") == 1 and message in err


def test_unsupported_spaces_are_told(call: Call) -> None:
    status, _, err = call("train_agent", "--env", "Blackjack-v1", "--memory", "gru", "-n", "64")
    assert status == 2 and err.count("\n") == 1 and "Tuple" in err


def start(tmp_path: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start training in a process of its own, in a group of its own, as a terminal would."""
    command = [sys.executable, str(SCRIPTS / "train_agent.py"), *arguments]
    return subprocess.Popen(
        command,
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for_steps(process: subprocess.Popen[str], folder: Path, steps: int) -> int:
    """Wait until the checkpoint is at least ``steps`` old; its steps."""
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        try:
            reached = json.loads((folder / "checkpoint" / "state.json").read_text())["steps"]
        except (OSError, ValueError):
            reached = -1
        if reached >= steps:
            return reached
        time.sleep(0.02)
    process.kill()
    raise AssertionError(f"no checkpoint at step {steps}: {process.communicate()}")


def test_sigkill_then_resume_loses_nothing_before_the_last_checkpoint(tmp_path: Path, call: Call) -> None:
    # One rollout after the other is checkpointed, so that the kill has a good chance to hit a replacement.
    process = start(tmp_path, *TRAIN, "-n", "1000000", "--checkpoint-freq", "1", "--run-dir", "run")
    folder = tmp_path / "run"
    before = wait_for_steps(process, folder, 320)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    status, out, err = call("train_agent", "--resume", "run", "-n", str(before + 320))
    assert (status, err) == (0, "") and "n_envs=2" in out
    result = json.loads((folder / "result.json").read_text())
    assert before + 320 <= result["steps"] < before + 320 + 64
    logged = [line.split(",") for line in (folder / "progress.csv").read_text().splitlines()]
    column = logged[0].index("time/total_timesteps")
    assert [int(row[column]) for row in logged[1:]] == list(range(32, result["steps"] + 1, 32))


@pytest.mark.parametrize("vec_env", ["dummy", pytest.param("subproc", marks=pytest.mark.slow)])
def test_ctrl_c_saves_and_says_how_to_resume(tmp_path: Path, vec_env: str) -> None:
    process = start(
        tmp_path, *TRAIN, "-n", "1000000", "--checkpoint-freq", "320", "--run-dir", "my run", "--vec-env", vec_env
    )
    wait_for_steps(process, tmp_path / "my run", 320)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and err.count("\n") == 1, err
    steps = json.loads((tmp_path / "my run/checkpoint/state.json").read_text())["steps"]
    told = re.fullmatch(r"stopped at step (\d+); continue with: python (.*)\n", err)
    assert told is not None and int(told[1]) == steps
    assert shlex.split(told[2])[1:] == ["--resume", "my run"]


@pytest.mark.slow
def test_a_model_behaves_the_same_in_a_fresh_process(tmp_path: Path, call: Call) -> None:
    status, _, _ = call("train_agent", *TRAIN, "-n", "640", "--run-dir", "run")
    assert status == 0
    result = json.loads((tmp_path / "run/result.json").read_text())
    command = [sys.executable, str(SCRIPTS / "evaluate_agent.py"), "run", "--episodes", "2", "--device", "cpu"]
    out = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60).stdout
    assert f"{result['mean_return']:.2f}" in out

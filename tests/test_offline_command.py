"""The command line of offline training."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.offline_cases import RECALL
from tests.script_cases import SCRIPTS, Call, caller


@pytest.fixture
def call(inside: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    return caller("train_offline", monkeypatch, capsys)


SHORT = ["--memory", "gru", "-n", "4", "--eval-episodes", "3", "--no-progress", "--set", "batch_size=4"]


def test_the_command_trains_and_says_what(call: Call) -> None:
    status, out, err = call("--dataset", RECALL, *SHORT, "--target-return", "9", "--seed", "3")
    assert status == 0 and err.startswith("warning: the target return 9 is far outside") and err.count("\n") == 1
    folder = "runs/TMazePassive-10-corridor-5-mixed50-v0/gru-s3"
    for words in (
        "normalised score",
        "return that was asked for",
        "9.00",
        f"--logdir {folder}",
        f"evaluate_agent.py {folder}",
    ):
        assert words in out
    status, out, err = call("--resume", folder, "-n", "6", "--no-progress")
    assert (status, err) == (0, "") and "updates=6" in out


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "one of the arguments --dataset --resume is required"),
        (["--dataset", RECALL, "--set", "batches=rows"], "batches must be streams, windows or episodes, got 'rows'"),
        (["--dataset", "nowhere"], "unknown dataset 'nowhere'"),
        (["--resume", "nowhere"], "expected a run folder, got nowhere"),
        (
            ["--resume", "nowhere", "--seed", "3"],
            "--resume takes all but -n and --device from the run itself, got --seed",
        ),
        (["--dataset", RECALL, "--target-return", "high"], "invalid float value: 'high'"),
        (["--dataset", RECALL, "--target-return", "nan"], "finite"),
    ],
)
def test_bad_input_gets_one_line_and_status_2(call: Call, arguments: list[str], message: str) -> None:
    status, out, err = call(*arguments)
    assert (status, out) == (2, "") and err.startswith("error: ") and err.count("\n") == 1 and message in err


def test_ctrl_c_says_how_to_go_on(inside: Path) -> None:
    command = [
        sys.executable,
        str(SCRIPTS / "train_offline.py"),
        "--dataset",
        RECALL,
        "--memory",
        "gru",
        "-n",
        "100000",
        "--eval-freq",
        "0",
    ]
    process = subprocess.Popen(
        [*command, "--run-dir", "run"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    while "into run" not in process.stdout.readline():
        assert process.poll() is None
    while not list(Path("run").glob("checkpoint")):
        time.sleep(0.1)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert re.search(r"stopped at update \d+; continue with: python .*train_offline.py --resume run\n$", err)

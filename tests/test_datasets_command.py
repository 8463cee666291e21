"""The command line of collecting."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from rl_larnn.envs.datasets import load_dataset
from tests.script_cases import Call, caller


@pytest.fixture
def call(store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    return caller("collect_dataset", monkeypatch, capsys)


def test_the_command_stores_and_says_what(call: Call, behaviour: Path, store: Path) -> None:
    shared = ["--env", "CartPole-POMDP", "--agent", str(behaviour), "--episodes", "4"]
    status, out, err = call(*shared, "--level", "medium", "--name", "some", "--seed", "3")
    assert (status, err) == (0, "")
    dataset = load_dataset("CartPole-POMDP/some-v0")
    assert len(dataset.episodes) == 4 and dataset.metadata["seed"] == 3
    for text in (
        "CartPole/some-v0 (CartPole-v1)",
        "CartPole-POMDP/some-v0 (CartPole-POMDP-v0)",
        f"4 episodes, {dataset.steps} steps",
        f"{dataset.returns.mean():.2f} ± {dataset.returns.std():.2f}",
        f"stored in {store / 'CartPole-POMDP' / 'some-v0'}",
    ):
        assert text in out, text
    command = shlex.split(re.search(r"train: python (.*)", out)[1])  # type: ignore[index]
    assert command == ["scripts/train_offline.py", "--dataset", "CartPole-POMDP/some-v0"]
    status, out, err = call(*shared, "--name", "some")
    assert (status, out) == (2, "") and err.startswith("error: the dataset CartPole-POMDP/some-v0 exists already")
    assert err.count("\n") == 1


def test_the_command_collects_recall(call: Call) -> None:
    arguments = ["--env", "TMazePassive-10", "--env-kwargs", "corridor=15", "--reference-episodes", "5"]
    status, out, err = call(*arguments, "--level", "mixed", "--quality", "1", "--episodes", "3")
    assert (status, err) == (0, "") and "TMazePassive-10-corridor-15/mixed100-v0" in out
    assert load_dataset("TMazePassive-10-corridor-15/mixed100").returns.tolist() == [1.0] * 3


def test_bad_input_gets_one_line_and_status_2(call: Call, store: Path) -> None:
    for arguments, message in (
        ([], "the following arguments are required: --env; see --help"),
        (["--env", "CartPole-v1", "--agent", "nowhere"], "expected a run folder or an archive"),
        (["--env", "CartPole-v1", "--env-kwargs", "x"], "--env-kwargs expects key=value, got 'x'"),
        (["--env", "CartPole-v1", "--episode", "3"], "unrecognized arguments: --episode 3; see --help"),
    ):
        status, out, err = call(*arguments)
        assert (status, out) == (2, "") and err.startswith("error: ") and err.count("\n") == 1 and message in err
    assert not list(store.rglob("*.hdf5"))

"""The tables of a suite on disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rl_larnn.agents.reporting.tables import read_rows, write_rows
from rl_larnn.agents.suites.records import CURVES, RESULTS, CurvePoint, RunRecord
from rl_larnn.errors import UserError
from tests.suite_cases import CART, PENDULUM, failed, record


def test_results_come_back_sorted_and_exact(tmp_path: Path) -> None:
    runs = [
        record(PENDULUM, "larnn", 10, 0.1),
        record(PENDULUM, "larnn", 2, 1 / 3, versions="a, b; c", machine='"quoted"'),
        failed(record(PENDULUM, "contrib-lstm", 5, 0), "it broke"),
        record(CART, "my.module:Class", 0, -1e-9, git_revision=""),
    ]
    write_rows(tmp_path / RESULTS, RunRecord, runs)
    assert read_rows(tmp_path / RESULTS, RunRecord) == [runs[3], runs[2], runs[1], runs[0]]
    header = "task,memory,seed,score,kept,steps,steps_per_s,parameters,git_revision,versions,machine,error"
    assert (tmp_path / RESULTS).read_text().splitlines()[0] == header
    points = [CurvePoint(CART, "gru", 0, steps, 0.1 * steps) for steps in (1000, 200)]
    write_rows(tmp_path / CURVES, CurvePoint, points)
    assert read_rows(tmp_path / CURVES, CurvePoint) == points[::-1]
    assert (tmp_path / CURVES).read_text().splitlines()[0] == "task,memory,seed,steps,score"


def test_every_run_is_one_line_and_appended_files_are_read(tmp_path: Path) -> None:
    path, other = tmp_path / RESULTS, tmp_path / "other.csv"
    write_rows(path, RunRecord, [failed(record(CART, "gru", 0, 0), "first line\n  second line")])
    write_rows(other, RunRecord, [record(CART, "gru", 1, 0.5)])
    path.write_text(path.read_text() + other.read_text())
    assert len(path.read_text().splitlines()) == 4
    assert [run.error for run in read_rows(path, RunRecord)] == ["first line second line", ""]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / RESULTS
    write_rows(path, RunRecord, [record(CART, "gru", 0, 0.5)])
    before = path.read_bytes()
    with pytest.raises(UserError, match="one row for CartPole-POMDP-v0, gru, 1, got two"):
        write_rows(path, RunRecord, [record(CART, "gru", 1, 0.5), record(CART, "gru", 1, 0.6)])
    with pytest.raises(UnicodeEncodeError):
        write_rows(path, RunRecord, [record(CART, "gru", 1, 0.5, machine="\ud800")])
    assert path.read_bytes() == before and [file.name for file in tmp_path.iterdir()] == [RESULTS]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: "", "expected the columns task, memory, seed, .*, got nothing"),
        (lambda text: text[:-20], r"line 2: expected 12 columns, got 1[01]|line 2: expected 12 columns, got 9"),
        (lambda text: text.replace(",7,", ",seven,"), "line 2, column seed: expected a whole number, got 'seven'"),
        (lambda text: text.replace("1500.0", "fast"), "column steps_per_s: expected a number or nothing, got 'fast'"),
        (lambda text: text.replace("1500.0", "nan"), "line 2: expected a finite steps_per_s, got nan"),
        (lambda text: text.rstrip() + "also an error\n", "line 2: expected either a score or an error"),
        (lambda text: text + text.splitlines()[1] + "\n", "expected one row for CartPole-POMDP-v0, gru, 7, got two"),
        (lambda text: text + '"', "got a damaged file"),
    ],
)
def test_damage_is_told_with_its_place(tmp_path: Path, damage: Any, message: str) -> None:
    path = tmp_path / RESULTS
    write_rows(path, RunRecord, [record(CART, "gru", 7, 0.5)])
    path.write_text(damage(path.read_text()))
    with pytest.raises(UserError, match=message) as caught:
        read_rows(path, RunRecord)
    assert RESULTS in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_file_and_an_impossible_run_are_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        read_rows(tmp_path / RESULTS, RunRecord)
    with pytest.raises(UserError, match="either a score or an error, got None and ''"):
        replace(record(CART, "gru", 0, 0), score=None)
    with pytest.raises(UserError, match="a finite score, got inf"):
        CurvePoint(CART, "gru", 0, 1, float("inf"))

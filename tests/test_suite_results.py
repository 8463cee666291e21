"""Gains, comparisons and the order of methods in the results of a suite."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("scipy")

from rl_larnn.agents.reporting.styles import styles
from rl_larnn.agents.suites.methods import BASELINES, CLONING, methods
from rl_larnn.agents.suites.suite_results import SuiteResults, memory_gain
from rl_larnn.agents.suites.tables import gain_summary, number
from rl_larnn.envs import TASKS, find_task
from rl_larnn.memories import MEMORIES
from tests.suite_cases import CART, FOREIGN, record, rows, suite_records


def test_the_gain_by_hand() -> None:
    task = find_task(CART)
    assert task is not None
    # Half way from the floor to the ceiling.
    assert memory_gain(CART, (task.floor.value + task.ceiling.value) / 2) == pytest.approx(0.5)
    assert memory_gain("CartPole-POMDP", task.floor.value) == 0 and memory_gain(CART, 2 * task.ceiling.value) > 1  # type: ignore[operator]
    assert memory_gain(FOREIGN, 10.0) is None
    # Controls: a memory has nothing to gain, or so little that a gain would be noise.
    controls = [task for task in TASKS.values() if not task.needs_memory]
    assert any(task.ceiling.value > task.floor.value for task in controls)
    assert all(memory_gain(task.id, task.ceiling.value) is None for task in controls)


def test_methods_have_one_order_and_one_look() -> None:
    runs = [record(CART, name, 0, 0) for name in ("ppo", "none", "b:B", "aaren", "a:A", "contrib-lstm", "larnn")]
    order = SuiteResults(runs).methods
    assert order == ["aaren", "larnn", "a:A", "b:B", "none", "contrib-lstm", "ppo"]
    known = styles([*methods(), "a:A", "b:B"])
    assert set(methods()) == {*MEMORIES, *BASELINES, *CLONING}
    drawn = [(look["color"], look["linestyle"], look["marker"]) for look in known.values()]
    assert len(set(drawn)) == len(drawn)
    # In grey: each has a marker or a dash that no other has.
    assert len({(line, marker) for _, line, marker in drawn}) == len(drawn)
    assert styles(["larnn", "ppo"])["ppo"] == known["ppo"]


def test_the_summary_by_hand() -> None:
    table = gain_summary(SuiteResults(suite_records()))
    # Gains 0.4, 0.5, 0.6 and 0.8, 0.9, 1: one goes at each end, (0.5 + 0.6 + 0.8 + 0.9) / 4; their mean is the same.
    (larnn,) = rows(table, "`larnn`")
    assert larnn[1].startswith("0.70 (0.") and larnn[2:] == ["0.70", "0.40", "2", "6", "1500"]
    low, high = re.findall(r"\d\.\d+", larnn[1])[1:]
    assert 0.4 < float(low) < 0.7 < float(high) < 1
    (ppo,) = rows(table, "`ppo`")
    assert ppo[1:] == ["0.00 (0.00 to 0.00)", "0.00", "0.00", "1", "3 (1 failed)", "1500"]
    assert "| `gru` | 0.00 (one" in gain_summary(SuiteResults([record(CART, "gru", 0, -0.001)]))
    first = [line.split("|")[1].strip() for line in table.splitlines()[2:]]
    assert first == ["`larnn`", "`contrib-lstm`", "`none`", "`ppo`"]


def test_the_control_is_never_the_best_of_our_memories() -> None:
    runs = [record(CART, "none", 0, 0.9), record(CART, "gru", 0, 0.3), record(CART, "contrib-lstm", 0, 0.5)]
    ((task, best, _, _),), reasons = SuiteResults([*runs, record(CART, "elman", 0, 0.2)]).compare("contrib-lstm")
    assert (task, best, reasons) == (CART, "gru", {})
    assert SuiteResults(runs[:1]).compare("contrib-lstm") == ([], {CART: "no finished run of contrib-lstm"})
    assert SuiteResults([runs[0], runs[2]]).compare("contrib-lstm") == ([], {CART: "no finished run of a memory"})


def test_scores_are_short() -> None:
    shown = [number(value) for value in (500.0, 498.1234, -1042.06, 0.98321, -0.00001, 0.0, 12345.6)]
    assert shown == ["500", "498.1", "-1042", "0.9832", "-1e-05", "0", "12346"]

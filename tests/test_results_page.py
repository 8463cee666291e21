"""The tables of a suite on disk, and the page that is made of them."""

from __future__ import annotations

import builtins
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("scipy")

from rl_larnn.agents.algorithms import BASELINES
from rl_larnn.agents.reporting.styles import styles
from rl_larnn.agents.suites import page as page_module
from rl_larnn.agents.suites.page import read_heading, write_page
from rl_larnn.agents.suites.records import (
    CURVES,
    RESULTS,
    CurvePoint,
    RunRecord,
    read_results,
    read_suite_curves,
    write_results,
    write_suite_curves,
)
from rl_larnn.agents.suites.suite_results import OURS, SuiteResults, memory_gain
from rl_larnn.agents.suites.tables import MISSING, number, summary_table
from rl_larnn.envs import TASKS, find_task
from rl_larnn.errors import UserError
from rl_larnn.memories import MEMORIES
from tests.script_cases import caller

CART, PENDULUM, FOREIGN = "CartPole-POMDP-v0", "Pendulum-POMDP-v0", "Foreign-v0"
COMMAND = "python scripts/run_suite.py --suite quick"
PICTURES = ("curves.png", "profiles.png", "improvement.png")


def record(task: str, memory: str, seed: int, gain: float, **changes: Any) -> RunRecord:
    """A run that reached a gain, where the task has a scale; else a score of that height."""
    found = find_task(task)
    score = gain if found is None else found.floor.value + gain * (found.ceiling.value - found.floor.value)
    made = RunRecord(task, memory, seed, score, score + 1, 100_000, 1500.0, 4321, "abc", "rl_larnn 0.1.0", "a machine")
    return replace(made, **changes)


def failed(run: RunRecord, error: str) -> RunRecord:
    return replace(run, score=None, kept=None, steps_per_s=None, parameters=None, error=error)


def curve(run: RunRecord) -> list[CurvePoint]:
    steps = np.linspace(run.steps / 10, run.steps, 10).astype(int)
    return [CurvePoint(run.task, run.memory, run.seed, int(step), run.score or 0.0) for step in steps]


def suite() -> list[RunRecord]:
    """LARNN beats the rival on CartPole only and was not run elsewhere by all its seeds; one run failed."""
    gains = {
        (CART, "larnn"): (0.9, 0.8, 1.0),
        (CART, "none"): (0.0, 0.01, -0.01),
        (CART, "contrib-lstm"): (0.5, 0.6, 0.7),
        (CART, "ppo"): (0.0, 0.0, 0.0),
        (PENDULUM, "larnn"): (0.4, 0.5, 0.6),
        (PENDULUM, "none"): (0.2, 0.3, 0.25),
        (PENDULUM, "contrib-lstm"): (0.5, 0.5, 0.5),
        (FOREIGN, "larnn"): (12.0, 15.0, 12.5),
        (FOREIGN, "contrib-lstm"): (12.0, 11.0, 10.0),
    }
    runs = [record(*name, seed, gain) for name, seeds in gains.items() for seed, gain in enumerate(seeds)]
    return [*runs, failed(record(PENDULUM, "ppo", 0, 0), "ValueError: the loss\nis `nan` | at step 12")]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = suite()
    points = [point for run in runs for point in curve(run)]
    return write_page(tmp_path_factory.mktemp("suite") / "new", runs, points, "A suite", COMMAND)


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes most of the time and has tests of its own."""
    monkeypatch.setattr(page_module, "draw_figures", lambda *arguments: [])


def rows(text: str, first: str) -> list[list[str]]:
    """Cells of all table rows that begin with a cell."""
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    return [row for row in cells if row[0] == first]


def test_results_come_back_sorted_and_exact(tmp_path: Path) -> None:
    runs = [
        record(PENDULUM, "larnn", 10, 0.1),
        record(PENDULUM, "larnn", 2, 1 / 3, versions="a, b; c", machine='"quoted"'),
        failed(record(PENDULUM, "contrib-lstm", 5, 0), "it broke"),
        record(CART, "my.module:Class", 0, -1e-9, git_revision=""),
    ]
    write_results(tmp_path / RESULTS, runs)
    assert read_results(tmp_path / RESULTS) == [runs[3], runs[2], runs[1], runs[0]]
    header = "task,memory,seed,score,kept,steps,steps_per_s,parameters,git_revision,versions,machine,error"
    assert (tmp_path / RESULTS).read_text().splitlines()[0] == header
    points = [CurvePoint(CART, "gru", 0, steps, 0.1 * steps) for steps in (1000, 200)]
    write_suite_curves(tmp_path / CURVES, points)
    assert read_suite_curves(tmp_path / CURVES) == points[::-1]
    assert (tmp_path / CURVES).read_text().splitlines()[0] == "task,memory,seed,steps,score"


def test_every_run_is_one_line_and_appended_files_are_read(tmp_path: Path) -> None:
    path, other = tmp_path / RESULTS, tmp_path / "other.csv"
    write_results(path, [failed(record(CART, "gru", 0, 0), "first line\n  second line")])
    write_results(other, [record(CART, "gru", 1, 0.5)])
    path.write_text(path.read_text() + other.read_text())
    assert len(path.read_text().splitlines()) == 4
    assert [run.error for run in read_results(path)] == ["first line second line", ""]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / RESULTS
    write_results(path, [record(CART, "gru", 0, 0.5)])
    before = path.read_bytes()
    with pytest.raises(UserError, match="one row for CartPole-POMDP-v0, gru, 1, got two"):
        write_results(path, [record(CART, "gru", 1, 0.5), record(CART, "gru", 1, 0.6)])
    with pytest.raises(UnicodeEncodeError):
        write_results(path, [record(CART, "gru", 1, 0.5, machine="\ud800")])
    assert path.read_bytes() == before and [file.name for file in tmp_path.iterdir()] == [RESULTS]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: "", "expected the columns task, memory, seed, .*, got nothing"),
        (lambda text: text.replace("seed", "sede", 1), "expected the columns .*, got task, memory, sede"),
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
    write_results(path, [record(CART, "gru", 7, 0.5)])
    path.write_text(damage(path.read_text()))
    with pytest.raises(UserError, match=message) as caught:
        read_results(path)
    assert RESULTS in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_file_and_an_impossible_run_are_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        read_results(tmp_path / RESULTS)
    with pytest.raises(UserError, match="either a score or an error, got None and ''"):
        replace(record(CART, "gru", 0, 0), score=None)
    with pytest.raises(UserError, match="a finite score, got inf"):
        CurvePoint(CART, "gru", 0, 1, float("inf"))


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
    assert order == ["larnn", "aaren", "a:A", "b:B", "none", "contrib-lstm", "ppo"]
    known = styles([*OURS, "none", *BASELINES, "a:A", "b:B", "c:C", "d:D"])
    assert set(OURS) | {"none"} == set(MEMORIES), "a registered memory needs a place in OURS and a style"
    drawn = [(look["color"], look["linestyle"], look["marker"]) for look in known.values()]
    assert len(set(drawn)) == len(drawn)
    # In grey: each has a marker or a dash that no other has.
    assert len({(line, marker) for _, line, marker in drawn}) == len(drawn)
    assert styles(["larnn", "ppo"])["ppo"] == known["ppo"]


def test_the_summary_by_hand() -> None:
    table = summary_table(suite())
    # Gains 0.4, 0.5, 0.6 and 0.8, 0.9, 1: one goes at each end, (0.5 + 0.6 + 0.8 + 0.9) / 4; their mean is the same.
    (larnn,) = rows(table, "`larnn`")
    assert larnn[1].startswith("0.70 (0.") and larnn[2:] == ["0.70", "0.40", "2", "6", "1500"]
    low, high = re.findall(r"\d\.\d+", larnn[1])[1:]
    assert 0.4 < float(low) < 0.7 < float(high) < 1
    (ppo,) = rows(table, "`ppo`")
    assert ppo[1:] == ["0.00 (0.00 to 0.00)", "0.00", "0.00", "1", "3 (1 failed)", "1500"]
    assert "| `gru` | 0.00 (one" in summary_table([record(CART, "gru", 0, -0.001)])
    first = [line.split("|")[1].strip() for line in table.splitlines()[2:]]
    assert first == ["`larnn`", "`contrib-lstm`", "`none`", "`ppo`"]


@pytest.mark.parametrize(("seeds", "words"), [(1, "(one seed: no interval)"), (2, ", unreliable)"), (3, None)])
@pytest.mark.usefixtures("no_pictures")
def test_few_seeds_are_no_evidence(tmp_path: Path, seeds: int, words: str | None) -> None:
    runs = [record(CART, "larnn", seed, 0.1 * seed) for seed in range(seeds)]
    assert (words is None and "unreliable" not in summary_table(runs)) or (words or "") in summary_table(runs)
    text = write_page(tmp_path, runs, [], "Few", COMMAND).read_text()
    assert ("rest on fewer than 3 seeds" in text) is (seeds < 3)
    assert "Baselines train" not in text


def test_the_page_by_hand(page: Path) -> None:
    text = page.read_text()
    assert "Baselines train with the task's recipe" in text
    assert "`aaren` also sees its previous action" not in text
    assert text.startswith("# A suite\n\n| memory |") and MISSING == "\N{EN DASH}"
    gains, scores = (rows(text, f"{PENDULUM} †")[place] for place in (0, 1))
    # Columns: larnn, none, contrib-lstm, ppo.
    assert gains[1:] == ["**0.50** (0.40)", "0.25 (0.20)", "**0.50** (0.50)", MISSING]
    assert scores[1:5] == ["100k", "-1223 ± 17", "-1042 ± 20", "-151.9"] and scores[-1] == MISSING
    foreign = rows(text, FOREIGN)
    assert [row[1:] for row in foreign] == [
        ["100k", MISSING, MISSING, MISSING, "**13.17** (12)", MISSING, "11 (10)", MISSING],
        ["14.17 (13)", MISSING, "12 (11)", MISSING],  # the agents that were kept
    ]
    assert len(rows(text, CART)) == 3 and rows(text, CART)[0][1] == "**0.90** (0.80)"


def test_the_page_says_what_speaks_against_us(page: Path) -> None:
    text = page.read_text()
    # A tie is no win.
    assert "On 2 of 3 tasks the best of our memories beats `contrib-lstm` after equal steps" in text
    assert re.search(rf"does not, marked †, on {PENDULUM} \(larnn (-\d+), contrib-lstm \1\)\.", text)
    assert "Failed runs, which count nowhere: 1." in text
    assert f"- {PENDULUM}, ppo, seed 0: `ValueError: the loss is 'nan' | at step 12`" in text
    assert "Over fewer tasks than the rest, so not comparable with it: `ppo`." in text
    assert f"floor or ceiling is unknown: {FOREIGN}." in text
    assert f"`none` remembers nothing, yet its gain is above 0.1 on {PENDULUM} (0.25)" in text
    assert "unreliable" not in text


@pytest.mark.usefixtures("no_pictures")
def test_unequal_steps_are_not_compared(tmp_path: Path) -> None:
    short = [replace(run, steps=90_000) if run.memory == "larnn" and run.task == CART else run for run in suite()]
    text = write_page(tmp_path, short, [], "Unequal", COMMAND).read_text()
    assert "On 1 of 2 tasks" in text and f"Not compared with `contrib-lstm`: {CART}, steps differ." in text
    assert rows(text, CART)[1][1] == "90k to 100k"
    ours, theirs = SuiteResults(short).against("larnn", "contrib-lstm")
    assert set(ours) == set(theirs) == {PENDULUM, FOREIGN}
    # Overshooting by part of a rollout is no difference.
    close = SuiteResults([replace(run, steps=run.steps + 1024 * (run.memory == "larnn")) for run in suite()])
    assert set(close.against("larnn", "contrib-lstm")[0]) == {CART, PENDULUM, FOREIGN}


def test_the_control_is_never_the_best_of_our_memories() -> None:
    runs = [record(CART, "none", 0, 0.9), record(CART, "gru", 0, 0.3), record(CART, "contrib-lstm", 0, 0.5)]
    ((task, best, _, _),), reasons = SuiteResults([*runs, record(CART, "elman", 0, 0.2)]).compare("contrib-lstm")
    assert (task, best, reasons) == (CART, "gru", {})
    assert SuiteResults(runs[:1]).compare("contrib-lstm") == ([], {CART: "no finished run of contrib-lstm"})
    assert SuiteResults([runs[0], runs[2]]).compare("contrib-lstm") == ([], {CART: "no finished run of a memory"})


def test_the_page_shows_its_pictures_and_how_to_repeat_it(page: Path) -> None:
    text = page.read_text()
    assert re.findall(r"!\[[^]]+\]\(([^)]+)\)", text) == list(PICTURES)
    assert all((page.parent / name).read_bytes().startswith(b"\x89PNG") for name in PICTURES)
    assert {path.name for path in page.parent.iterdir()} == {"README.md", *PICTURES}
    assert f"```bash\n{COMMAND}\n```" in text
    for line in ("- versions: rl_larnn 0.1.0\n", "- git revision: abc\n", "- machine: a machine\n"):
        assert line in text
    assert read_heading(page.parent) == ("A suite", COMMAND)


def test_a_page_of_one_run_and_of_failures_only(tmp_path: Path) -> None:
    run = record(CART, "larnn", 0, 0.5)
    text = write_page(tmp_path, [run], curve(run), "One", COMMAND).read_text()
    assert "curves.png" in text and "improvement.png" not in text and "Without runs of `contrib-lstm`" in text
    text = write_page(tmp_path, [failed(run, "broke")], curve(run), "None", COMMAND).read_text()
    assert "png" not in text and rows(text, "`larnn`")[0][1:] == [
        MISSING,
        MISSING,
        MISSING,
        "0",
        "0 (1 failed)",
        MISSING,
    ]
    with pytest.raises(UserError, match="at least one run"):
        write_page(tmp_path, [], [], "Nothing", COMMAND)


@pytest.mark.usefixtures("no_pictures")
def test_several_machines_are_all_named(tmp_path: Path) -> None:
    runs = [record(CART, "gru", seed, 0.5, machine=f"machine {seed > 0}", git_revision="") for seed in range(3)]
    text = write_page(tmp_path, runs, [], "Several", COMMAND).read_text()
    assert "- machine: machine True (2 runs), or machine False (1 runs)" in text
    assert "- git revision: not recorded" in text and "curves.csv" not in text


def test_scores_are_short() -> None:
    shown = [number(value) for value in (500.0, 498.1234, -1042.06, 0.98321, -0.00001, 0.0, 12345.6)]
    assert shown == ["500", "498.1", "-1042", "0.9832", "-1e-05", "0", "12346"]


def test_a_missing_matplotlib_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(f"No module named {name!r}")
        return original(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError, match=r"pip install 'rl-larnn\[plots\]'"):
        write_page(tmp_path, suite(), [], "A suite", COMMAND)
    assert not (tmp_path / "README.md").exists()


def test_the_script_rebuilds_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    call = caller("report_suite", monkeypatch, capsys)
    status, _, err = call(str(tmp_path))
    assert status == 2 and "error: cannot read" in err
    write_results(tmp_path / RESULTS, suite()[:3])
    status, _, err = call(str(tmp_path))
    assert status == 2 and "expected --command" in err
    status, out, _ = call(str(tmp_path), "--title", "Merged", "--command", COMMAND)
    assert status == 0 and "| `larnn` | 0.90" in out
    # Without its title and command given again, the page keeps them, and follows its tables.
    write_results(tmp_path / RESULTS, suite())
    write_suite_curves(tmp_path / CURVES, curve(suite()[0]))
    assert call(str(tmp_path))[0] == 0
    assert read_heading(tmp_path) == ("Merged", COMMAND)
    assert "Failed runs" in (tmp_path / "README.md").read_text() and (tmp_path / "curves.png").exists()

"""The page of a suite."""

from __future__ import annotations

import builtins
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("scipy")

from rl_larnn.agents.reporting.tables import write_rows
from rl_larnn.agents.suites import page as page_module
from rl_larnn.agents.suites.page import read_heading, write_page
from rl_larnn.agents.suites.records import CURVES, RESULTS, CurvePoint, RunRecord
from rl_larnn.agents.suites.suite_results import SuiteResults
from rl_larnn.agents.suites.tables import MISSING, gain_summary
from rl_larnn.errors import UserError
from tests.script_cases import caller
from tests.suite_cases import CART, FOREIGN, PENDULUM, curve, failed, record, rows, suite_records

COMMAND = "python scripts/run_suite.py --suite quick"
PICTURES = ("curves.png", "profiles.png", "improvement.png")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = suite_records()
    points = [point for run in runs for point in curve(run)]
    return write_page(tmp_path_factory.mktemp("suite") / "new", runs, "A suite", COMMAND, points)


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes most of the time and has tests of its own."""
    monkeypatch.setattr(page_module, "draw_figures", lambda *arguments: [])


@pytest.mark.parametrize(("seeds", "words"), [(1, "(one seed: no interval)"), (2, ", unreliable)"), (3, None)])
@pytest.mark.usefixtures("no_pictures")
def test_few_seeds_are_no_evidence(tmp_path: Path, seeds: int, words: str | None) -> None:
    runs = [record(CART, "larnn", seed, 0.1 * seed) for seed in range(seeds)]
    summary = gain_summary(SuiteResults(runs))
    assert words in summary if words is not None else "unreliable" not in summary
    text = write_page(tmp_path, runs, "Few", COMMAND).read_text()
    assert ("rest on fewer than 3 seeds" in text) is (seeds < 3)
    assert "Baselines train" not in text


def test_the_page_by_hand(page: Path) -> None:
    text = page.read_text()
    assert "Baselines train with the task's recipe" in text
    assert "`aaren` also sees its previous action" not in text
    assert text.startswith("# A suite\n\n| method |") and MISSING == "\N{EN DASH}"
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
    changed = {("larnn", CART): 90_000}
    short = [replace(run, steps=changed.get((run.method, run.task), run.steps)) for run in suite_records()]
    text = write_page(tmp_path, short, "Unequal", COMMAND).read_text()
    assert "On 1 of 2 tasks" in text and f"Not compared with `contrib-lstm`: {CART}, steps differ." in text
    assert rows(text, CART)[1][1] == "90k to 100k"
    ours, theirs = SuiteResults(short).against("larnn", "contrib-lstm")
    assert set(ours) == set(theirs) == {PENDULUM, FOREIGN}
    # Overshooting by part of a rollout is no difference.
    close = SuiteResults([replace(run, steps=run.steps + 1024 * (run.method == "larnn")) for run in suite_records()])
    assert set(close.against("larnn", "contrib-lstm")[0]) == {CART, PENDULUM, FOREIGN}


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
    text = write_page(tmp_path, [run], "One", COMMAND, curve(run)).read_text()
    assert "curves.png" in text and "improvement.png" not in text and "Without runs of `contrib-lstm`" in text
    text = write_page(tmp_path, [failed(run, "broke")], "None", COMMAND, curve(run)).read_text()
    assert "png" not in text and rows(text, "`larnn`")[0][1:] == [
        MISSING,
        MISSING,
        MISSING,
        "0",
        "0 (1 failed)",
        MISSING,
    ]
    with pytest.raises(UserError, match="at least one run"):
        write_page(tmp_path, [], "Nothing", COMMAND)


@pytest.mark.usefixtures("no_pictures")
def test_several_machines_are_all_named(tmp_path: Path) -> None:
    runs = [record(CART, "gru", seed, 0.5, machine=f"machine {seed > 0}", git_revision="") for seed in range(3)]
    text = write_page(tmp_path, runs, "Several", COMMAND).read_text()
    assert "- machine: machine True (2 runs), or machine False (1 runs)" in text
    assert "- git revision: not recorded" in text and "curves.csv" not in text


def test_a_missing_matplotlib_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(f"No module named {name!r}")
        return original(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError, match=r"pip install 'rl-larnn\[plots\]'"):
        write_page(tmp_path, suite_records(), "A suite", COMMAND)
    assert not (tmp_path / "README.md").exists()


def test_the_script_rebuilds_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    call = caller("report_suite", monkeypatch, capsys)
    status, _, err = call(str(tmp_path))
    assert status == 2 and "error: cannot read" in err
    write_rows(tmp_path / RESULTS, RunRecord, suite_records()[:3])
    status, _, err = call(str(tmp_path))
    assert status == 2 and "expected --command" in err
    status, out, _ = call(str(tmp_path), "--title", "Merged", "--command", COMMAND)
    assert status == 0 and "| `larnn` | 0.90" in out
    # Without its title and command given again, the page keeps them, and follows its tables.
    write_rows(tmp_path / RESULTS, RunRecord, suite_records())
    write_rows(tmp_path / CURVES, CurvePoint, curve(suite_records()[0]))
    assert call(str(tmp_path))[0] == 0
    assert read_heading(tmp_path) == ("Merged", COMMAND)
    assert "Failed runs" in (tmp_path / "README.md").read_text() and (tmp_path / "curves.png").exists()

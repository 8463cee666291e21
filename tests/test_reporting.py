"""Tables, messages and progress bars."""

from __future__ import annotations

import io
import sys

import pytest
from rich.text import Text

from rl_larnn.agents.reporting.reporter import SILENT, Reporter, TerminalReporter
from rl_larnn.agents.reporting.tables import markdown_table


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def use(reporter: Reporter) -> None:
    """All that a reporter can do."""
    reporter.message("into runs/x")
    reporter.warning("too few")
    with reporter.progress(10, "steps", done=2, title="collecting") as bar:
        bar.note("return 1.5")
        bar.reach(6)
        bar.advance(4)
        reporter.message("still going")
    with reporter.progress(1.0) as bar:
        bar.reach(0.5)
        bar.note("searching")
    with reporter.progress() as bar:
        bar.note("compiling")
    with reporter.live() as show:
        if show is not None:
            show(Text("a table"))


def test_a_table_in_markdown() -> None:
    rows = [["a|b", None, 2], ["c", "d", 3.5]]
    assert markdown_table(["", "x", "y"], rows, missing="-").splitlines() == [
        "|  | x | y |",
        "| --- | ---: | ---: |",
        "| a\\|b | - | 2 |",
        "| c | d | 3.5 |",
    ]
    rules = [markdown_table(["", "x", "y"], [], columns).splitlines()[1] for columns in (2, None)]
    assert rules == ["| --- | --- | ---: |", "| --- | --- | --- |"]


def use_on_terminal(reporter: Reporter, monkeypatch: pytest.MonkeyPatch) -> str:
    """What stands on standard error where that is a terminal."""
    terminal = Terminal()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", terminal)
        patch.setenv("TERM", "xterm")
        use(reporter)
    return terminal.getvalue()


def test_a_silent_reporter_shows_nothing(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert (use_on_terminal(SILENT, monkeypatch), capsys.readouterr().out) == ("", "")


def test_without_a_terminal_there_are_lines_but_no_bars(capsys: pytest.CaptureFixture[str]) -> None:
    use(TerminalReporter())
    assert tuple(capsys.readouterr()) == ("into runs/x\nstill going\n", "warning: too few\n")


def test_on_a_terminal_there_are_bars_on_standard_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = use_on_terminal(TerminalReporter(), monkeypatch)
    assert capsys.readouterr().out == "into runs/x\nstill going\n"
    for text in ("warning: too few", "collecting:  20%", "2/10", "steps/s", "return 1.5", "searching", "compiling"):
        assert text in shown, text
    assert "a table" in shown
    assert use_on_terminal(TerminalReporter(bars=False), monkeypatch) == "warning: too few\n"

"""Tables, files and the command line of the probes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rl_larnn.agents.probes import (
    PROBES,
    MemoryConfig,
    file_writer,
    markdown,
    measure_memories,
    rows,
    to_json,
)
from rl_larnn.agents.reporting.reporter import Bar, Reporter
from tests.script_cases import Call, caller

SMALL = {
    "gru": {"untrained": {"lag 1": 0.5, "count": -0.001}, "fitted": {"lag 1": 0.75}},
    "none": {"untrained": {"lag 1": 0.12345}},
}


def test_rows_and_markdown() -> None:
    header, cells = rows(SMALL)
    assert header == ["memory", "weights", "lag 1", "count"]
    assert cells == [
        ["gru", "untrained", "0.50", "0.00"],
        ["gru", "fitted", "0.75", ""],
        ["none", "untrained", "0.12", ""],
    ]
    assert markdown(SMALL).splitlines()[1:3] == ["| --- | --- | ---: | ---: |", "| `gru` | untrained | 0.50 | 0.00 |"]


def test_json_holds_what_was_measured() -> None:
    data = json.loads(json.dumps(to_json(SMALL)))
    assert data["scores"]["gru"] == {"untrained": {"lag 1": 0.5, "count": -0.001}, "fitted": {"lag 1": 0.75}}
    assert data["scores"]["none"] == {"untrained": {"lag 1": 0.1235}} and "torch" in data["versions"]


def test_every_kind_of_file(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for name in ("scores.json", "scores.md", "scores.png", "scores.svg"):
        file_writer(tmp_path / name)(SMALL)
    assert json.loads((tmp_path / "scores.json").read_text()) == to_json(SMALL)
    assert (tmp_path / "scores.md").read_text() == markdown(SMALL) + "\n"
    assert (tmp_path / "scores.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "scores.svg").read_text() and len(list(tmp_path.iterdir())) == 4


class Notes(Reporter):
    """Records the notes beside a bar and how much is done."""

    def __init__(self) -> None:
        self.notes: list[tuple[float, str]] = []

    @contextmanager
    def progress(self, total: float | None = None, unit: str = "", done: float = 0, title: str = "") -> Iterator[Bar]:
        reporter = self

        class Recording(Bar):
            done = 0.0

            def advance(self, amount: float = 1) -> None:
                self.done += amount

            def note(self, text: str) -> None:
                reporter.notes.append((self.done, text))

        yield (bar := Recording())
        assert bar.done == total


def test_progress_goes_from_nothing_to_all() -> None:
    reporter, probes = Notes(), [PROBES["lag 1"], PROBES["lag 3"]]
    found = measure_memories([MemoryConfig("none"), MemoryConfig("elman")], probes, False, reporter)
    assert reporter.notes == [(0, "none, untrained"), (1, "elman, untrained")]
    assert list(found) == ["none", "elman"] and found["elman"]["untrained"]["lag 1"] > 0.9
    assert list(found["elman"]) == ["untrained"]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    monkeypatch.chdir(tmp_path)
    return caller("probe_memory", monkeypatch, capsys)


def test_the_script_prints_and_writes(call: Call, tmp_path: Path) -> None:
    arguments = ("--memory", "gru", "--set", "hidden_size=4", "--probes", "reversal of 8", "--out", "a.json", "a.md")
    status, out, err = call(*arguments)
    assert (status, err) == (0, "")
    scores = json.loads((tmp_path / "a.json").read_text())["scores"]["gru hidden_size=4"]
    assert set(scores) == {"untrained", "fitted"}
    for own in scores.values():
        text = f"{own['reversal of 8']:.2f}"
        assert text in out and text in (tmp_path / "a.md").read_text()


def test_bad_input_gets_one_line_and_status_2(call: Call) -> None:
    for typed, message in (
        ("--memory arena", "unknown memory 'arena'; did you mean aaren or larnn?"),
        ("--memory gru --set window=3", "memory 'gru' has no option 'window'"),
        ("--memory gru --set layers=many", "the option layers expects int, got 'many'"),
        ("--memory larnn --set heads=7", "heads must divide hidden_size"),
        ("--memory gru lstm --set layers=2", "--set goes with one --memory, got 2"),
        ("--set layers=2", "--set goes with one --memory, got 0"),
        ("--out scores.txt", "its name should end in .json, .md or one of"),
        ("--out nowhere/scores.json", "there is no folder nowhere"),
    ):
        status, out, err = call(*typed.split())
        assert (status, out) == (2, ""), typed
        assert err.startswith("error: ") and err.count("\n") == 1 and message in err, typed
    assert "invalid choice: 'lag 2'" in call("--probes", "lag 2")[2]

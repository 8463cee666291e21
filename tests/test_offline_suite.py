"""Comparing offline learners: the sets, the runs, the table and the page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rl_larnn.agents.behaviours import CollectConfig
from rl_larnn.agents.behaviours.config import find_collection_env
from rl_larnn.agents.reporting.csv_rows import read_rows
from rl_larnn.agents.runs.folder import RESULT
from rl_larnn.agents.suites import offline_run as runner
from rl_larnn.agents.suites.job import execute
from rl_larnn.agents.suites.offline_jobs import OFFLINE_METHODS, OfflineJob, OfflineRecord, offline_jobs
from rl_larnn.agents.suites.offline_page import summary, write_offline_page
from rl_larnn.agents.suites.offline_run import run_offline_suite
from rl_larnn.agents.suites.offline_sets import KINDS, OFFLINE_SUITES, OfflineSet, collect_missing, offline_suite
from rl_larnn.agents.suites.records import RESULTS
from rl_larnn.agents.suites.tables import MISSING
from rl_larnn.envs.datasets import DatasetError, local_ids
from rl_larnn.errors import UserError
from tests.dataset_cases import store_in
from tests.script_cases import Call, caller

RECALL = OfflineSet(
    "TMazePassive-10-corridor-4/mixed50-v0",
    "recall",
    6,
    CollectConfig("TMazePassive-10", "mixed", episodes=30, env_kwargs={"corridor": 4}, reference_episodes=10),
)


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    with store_in(tmp_path / "store"):
        yield tmp_path


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs in this process, one after the other."""

    def run(jobs: Any, out: Path, at_once: int, on_change: Any) -> None:
        for job in jobs:
            on_change([job])
            execute(job, out)

    monkeypatch.setattr(runner, "run_locally", run)


def record(dataset: str, method: str, seed: int, score: float) -> OfflineRecord:
    return OfflineRecord(dataset, method, seed, score, score, 0.0, 6, 10.0, 99, "abc", "torch 2", "a machine")


@pytest.mark.parametrize("name", OFFLINE_SUITES)
def test_every_set_is_what_its_collection_makes(name: str) -> None:
    sets = offline_suite(name)
    ids = [one.id for one in sets]
    assert len(set(ids)) == len(ids) and {one.kind for one in sets} == set(KINDS)
    for one in sets:
        made = find_collection_env(one.config).dataset_ids(one.config)
        assert one.id in made.values()
        # Of twins the last is what the learner of the masked task sees.
        assert one.kind == ("recall" if len(made) == 1 else "masked" if one.id == list(made.values())[-1] else "plain")
    with pytest.raises(UserError, match="unknown offline suite 'quik'; did you mean quick"):
        offline_suite("quik")


def test_runs_are_done_once_and_tabled(inside: Path, here: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(_: str) -> None:
        raise DatasetError("damaged")

    told: list[str] = []
    collect_missing([RECALL], told.append)
    collect_missing([RECALL], told.append)
    assert told == [f"collecting {RECALL.id}"] and local_ids() == [RECALL.id]
    other = replace(RECALL, config=replace(RECALL.config, episodes=31))
    with pytest.raises(UserError, match=f"{RECALL.id} was collected with episodes=30, the suite wants episodes=31: re"):
        collect_missing([other], told.append)
    with monkeypatch.context() as patch:
        patch.setattr("rl_larnn.agents.suites.offline_sets.read_record", damaged)
        with pytest.raises(UserError, match="damaged"):
            collect_missing([RECALL], told.append)
    jobs = offline_jobs([RECALL], ["gru", "bc-best-10%"], [0, 1])
    assert [job.name for job in jobs] == [
        f"{RECALL.id}, {name}, seed {s}" for s in (0, 1) for name in ("gru", "bc-best-10%")
    ]
    seen: list[str] = []
    records = run_offline_suite(jobs, Path("out"), 2, lambda running: seen.extend(job.name for job in running))
    assert seen == [job.name for job in jobs] and [job.percent(Path("out")) for job in jobs] == [100] * 4
    assert sorted(records, key=lambda row: row.key) == read_rows(Path("out") / RESULTS, OfflineRecord)
    again = run_offline_suite(jobs, Path("out"), 2, lambda running: seen.extend("again" for _ in running))
    assert again == records and "again" not in seen
    (jobs[0].run(Path("out")) / RESULT).unlink()  # as of a run that was interrupted
    longer = [replace(job, updates=7) for job in jobs]
    with pytest.raises(UserError, match=r"out holds .*, gru, seed 0 with 6 updates, not 7; choose another --out"):
        run_offline_suite(longer, Path("out"), 2, lambda running: None)
    page = write_offline_page(Path("out"), [RECALL], records, "A page", "python scripts/run_offline_suite.py")
    assert (Path("out") / "scores.png").stat().st_size > 5000
    assert all(words in page.read_text() for words in (RECALL.id, "`gru`", "`bc-best-10%`", "## Recall", "updates/s"))


def test_a_run_that_fails_is_told(inside: Path, here: None) -> None:
    (job,) = jobs = offline_jobs([replace(RECALL, id="CartPole/nothing-v0")], ["gru"], [0])
    assert run_offline_suite(jobs, Path("out"), 1, lambda running: None) == []
    assert "unknown dataset 'CartPole/nothing-v0'" in (job.error(Path("out")) or "")


@pytest.mark.parametrize(
    "methods, seeds, message",
    [
        (["grru"], [0], "unknown method 'grru'; did you mean gru"),
        (["gru", "gru"], [0], "expected each memory and seed once, got gru, gru"),
        (["gru"], [], "expected at least one memory and one seed, got none"),
    ],
)
def test_impossible_runs_are_refused(methods: list[str], seeds: list[int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        offline_jobs([RECALL], methods, seeds)


def test_the_summary_by_hand() -> None:
    sets = [
        replace(RECALL, id=name, kind=kind)
        for name, kind in (("a/x-v0", "plain"), ("b/x-v0", "plain"), ("c/x-v0", "recall"))
    ]
    records = [
        *(record("a/x-v0", "gru", seed, score) for seed, score in enumerate((10.0, 30.0))),
        record("b/x-v0", "gru", 0, 50.0),
        record("c/x-v0", "gru", 0, 7.0),
        record("a/x-v0", "bc", 0, 40.0),
    ]
    lines = summary(sets, records).splitlines()
    assert lines[0] == "| mean score over datasets | plain | recall |"
    assert lines[2:] == ["| `gru` | 35.0 | 7.0 |", f"| `bc` | {MISSING} | {MISSING} |"]


def test_the_page_by_hand(tmp_path: Path) -> None:
    records = [record(RECALL.id, "gru", 0, 90.0), record(RECALL.id, "gru", 1, 70.0), record(RECALL.id, "bc", 0, -0.02)]
    page = write_offline_page(tmp_path, [RECALL], records, "A page", "python x").read_text()
    assert f"| {RECALL.id} | 6 | **80.0** (70.0) | 0.0 |" in page
    assert "| `gru` | 10 | 99 |" in page and "Seeds 0, 1; a machine; revisions abc." in page and "python x" in page


def test_the_page_says_where_nobody_sees_the_last_action(tmp_path: Path) -> None:
    sets = offline_suite("quick", ["CartPole/", "Pendulum"])
    records = [record(one.id, "gru", 0, 1.0) for one in sets]
    page = write_offline_page(tmp_path, sets, records, "A page", "python x").read_text()
    assert "On Pendulum, Pendulum-POMDP nobody sees the last action, and there it has two." in page
    page = write_offline_page(tmp_path, sets[:1], records, "A page", "python x").read_text()
    assert "nobody sees the last action" not in page


@pytest.fixture
def call(inside: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    return caller("run_offline_suite", monkeypatch, capsys)


def test_the_command_compares(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """In processes of its own, from a store that is still empty."""
    monkeypatch.setitem(OFFLINE_SUITES, "quick", lambda: [RECALL, replace(RECALL, id="other/x-v0")])
    arguments = ["--contenders", "gru", "bc", "--seeds", "0", "--only", "corridor"]
    status, out, err = call(*arguments, "--collect-only")
    assert (status, err) == (0, "") and out == f"collecting {RECALL.id}\n"
    status, out, err = call(*arguments)
    assert (status, err) == (0, "") and "| mean score over datasets | recall |" in out
    assert "python scripts/run_offline_suite.py --methods gru bc" in Path("runs/offline-quick/README.md").read_text()


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--suite", "quik"], "unknown offline suite 'quik'; did you mean quick"),
        (["--contenders", "ppo"], "unknown method 'ppo'"),
        (["--jobs", "0", "--only", "CartPole-POMDP/expert"], "expected at least 1 run at a time, got 0"),
        (["--only", "nothing"], "no dataset of the suite quick is called nothing; there are CartPole/medium-replay-v0"),
    ],
)
def test_bad_input_gets_one_line_and_status_2(call: Call, arguments: list[str], message: str) -> None:
    status, out, err = call(*arguments)
    assert (status, out) == (2, "") and err.startswith("error: ") and err.count("\n") == 1 and message in err


def test_every_method_is_a_config() -> None:
    for changes in OFFLINE_METHODS.values():
        assert set(changes) <= {"memory", "clone", "best"}
    assert OfflineJob("gru", 0, "a/b-v0", 5).folder(Path("out")) == Path("out/runs/a-b-v0/gru-s0")

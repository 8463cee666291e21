"""Comparing offline learners: the datasets, the runs, the table and the page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rl_larnn.agents.behaviours import CollectConfig
from rl_larnn.agents.behaviours.config import find_collection_env
from rl_larnn.agents.reporting.reporter import Reporter
from rl_larnn.agents.reporting.tables import read_rows, write_rows
from rl_larnn.agents.runs.folder import RESULT
from rl_larnn.agents.suites.definitions import DATASET_SUITES, KINDS, Suite, collect_missing, find_dataset_suite
from rl_larnn.agents.suites.job import Job, execute, jobs_of
from rl_larnn.agents.suites.page import write_page
from rl_larnn.agents.suites.records import RESULTS, DatasetRecord, RunRecord
from rl_larnn.agents.suites.run import run_suite
from rl_larnn.agents.suites.suite_results import SuiteResults
from rl_larnn.agents.suites.tables import MISSING, dataset_summary
from rl_larnn.agents.suites.tasks import DatasetTask
from rl_larnn.envs.datasets import DatasetError, local_ids
from rl_larnn.errors import UserError
from rl_larnn.files import read_json
from tests.dataset_cases import store_in
from tests.script_cases import Call, caller

RECALL = DatasetTask(
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


def here(jobs: Any, out: Path, on_change: Any) -> None:
    """Runs in this process, one after the other."""
    for job in jobs:
        on_change([job])
        execute(job, out)


def suite(*tasks: DatasetTask) -> Suite:
    return Suite("mine", tasks or (RECALL,))


def record(dataset: str, method: str, seed: int, score: float) -> DatasetRecord:
    return DatasetRecord(dataset, method, seed, score, score, 6, 10.0, 99, "abc", "torch 2", "a machine")


def test_every_dataset_is_what_its_collection_makes() -> None:
    tasks = find_dataset_suite("standard").tasks
    assert {task.id for task in find_dataset_suite("quick").tasks} <= {task.id for task in tasks}
    ids = [task.id for task in tasks]
    assert len(set(ids)) == len(ids) and {task.kind for task in tasks} == set(KINDS)
    for task in tasks:
        made = find_collection_env(task.collection).dataset_ids(task.collection)
        assert task.id in made.values()
        # Of two the last is what the learner of the masked task sees.
        kind = "recall" if len(made) == 1 else "masked" if task.id == list(made.values())[-1] else "plain"
        assert task.kind == kind


def test_missing_datasets_are_collected_once(inside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(_: str) -> None:
        raise DatasetError("damaged")

    reporter, told = Reporter(), list[str]()
    reporter.message = told.append  # type: ignore[method-assign]
    for _ in range(2):
        collect_missing(suite(), reporter)
    assert told == [f"collecting {RECALL.id}"] and local_ids() == [RECALL.id]
    other = replace(RECALL, collection=replace(RECALL.collection, episodes=31))
    with pytest.raises(UserError, match=f"{RECALL.id} was collected with episodes=30, the suite wants episodes=31: re"):
        collect_missing(suite(other))
    monkeypatch.setattr("rl_larnn.agents.suites.definitions.read_record", damaged)
    with pytest.raises(UserError, match="damaged"):
        collect_missing(suite())


def test_runs_are_done_once_and_tabled(inside: Path) -> None:
    collect_missing(suite())
    jobs = jobs_of(suite(), ["gru", "bc-best-10%"], [0, 1])
    names = [f"{RECALL.id}, {name}, seed {seed}" for seed in (0, 1) for name in ("gru", "bc-best-10%")]
    assert [job.name for job in jobs] == names
    out, seen = Path("out"), list[str]()
    records, _ = run_suite(suite(), jobs, out, here, lambda running: seen.extend(job.name for job in running))
    assert seen == names and [job.percent(out) for job in jobs] == [100] * 4
    assert sorted(records, key=lambda row: row.key) == read_rows(out / RESULTS, DatasetRecord)
    result = read_json(jobs[0].run(out) / RESULT, "the result")
    assert records[0].score == result["normalized_score"] and records[0].mean_return == result["mean_return"]
    assert records[0].reset_return == result["mean_return_reset"] and records[0].steps == result["updates"] == 6
    again, _ = run_suite(suite(), jobs, out, here, lambda running: seen.extend("again" for _ in running))
    assert again == records and "again" not in seen
    with pytest.raises(UserError, match=r"out holds runs of .* with updates=6 \(now 7\); choose another --out"):
        run_suite(suite(replace(RECALL, updates=7)), jobs, out, here, lambda running: None)
    (out / "suite.json").unlink()  # as in folders of earlier revisions
    longer = suite(replace(RECALL, updates=7))
    with pytest.raises(UserError, match=r"has 6 updates, not 7; choose another --out"):
        run_suite(longer, jobs_of(longer, ["gru"], [0]), out, here, lambda running: None)
    assert not (out / "suite.json").exists()
    page = write_page(out, records, "A page", "python scripts/run_offline_suite.py", datasets=[RECALL])
    assert (out / "scores.png").stat().st_size > 5000
    assert all(words in page.read_text() for words in (RECALL.id, "`gru`", "`bc-best-10%`", "## Recall", "updates/s"))


def test_a_run_that_fails_is_told(inside: Path) -> None:
    nothing = suite(replace(RECALL, id="CartPole/nothing-v0"))
    (job,) = jobs = jobs_of(nothing, ["gru"], [0])
    records, _ = run_suite(nothing, jobs, Path("out"), here, lambda running: None)
    error = "unknown dataset 'CartPole/nothing-v0'"
    assert error in (job.error(Path("out")) or "") and [error in record.error for record in records] == [True]


def test_tables_of_earlier_revisions_are_read(tmp_path: Path) -> None:
    """They had no column for errors."""
    path = tmp_path / RESULTS
    write_rows(path, DatasetRecord, [record("a/x-v0", "gru", 0, 1.0)])
    header, row = path.read_text().splitlines()
    assert header.startswith("dataset,contender,seed,score,mean_return,wiped,updates,updates_per_s,parameters,")
    path.write_text(f"{header.removesuffix(',error')}\n{row.removesuffix(',')}\n")
    assert read_rows(path, RunRecord, DatasetRecord) == [record("a/x-v0", "gru", 0, 1.0)]


def test_the_summary_by_hand() -> None:
    kinds = (("a/x-v0", "plain"), ("b/x-v0", "plain"), ("c/x-v0", "recall"))
    tasks = [replace(RECALL, id=name, kind=kind) for name, kind in kinds]
    records = [
        *(record("a/x-v0", "gru", seed, score) for seed, score in enumerate((10.0, 30.0))),
        record("b/x-v0", "gru", 0, 50.0),
        record("c/x-v0", "gru", 0, 7.0),
        record("a/x-v0", "bc", 0, 40.0),
    ]
    lines = dataset_summary(SuiteResults(records), tasks).splitlines()
    assert lines[0] == "| mean score over datasets | plain | recall |"
    assert lines[2:] == ["| `gru` | 35.0 | 7.0 |", f"| `bc` | {MISSING} | {MISSING} |"]


def test_the_page_by_hand(tmp_path: Path) -> None:
    records = [record(RECALL.id, "gru", 0, 90.0), record(RECALL.id, "gru", 1, 70.0), record(RECALL.id, "bc", 0, -0.02)]
    page = write_page(tmp_path, records, "A page", "python x", datasets=[RECALL]).read_text()
    assert f"| {RECALL.id} | 6 | **80.0** (70.0) | 0.0 |" in page
    assert "| `gru` | 10 | 99 |" in page and "machine: a machine" in page and "git revision: abc" in page
    assert "python x" in page


def test_the_page_says_where_no_method_sees_the_last_action(tmp_path: Path) -> None:
    tasks = find_dataset_suite("quick").only(["CartPole/", "Pendulum"]).tasks
    records = [record(task.id, "gru", 0, 1.0) for task in tasks]
    page = write_page(tmp_path, records, "A page", "python x", datasets=tasks).read_text()
    assert "On Pendulum, Pendulum-POMDP no method sees the last action, and there it has two." in page
    page = write_page(tmp_path, records, "A page", "python x", datasets=tasks[:1]).read_text()
    assert "sees the last action, and" not in page


@pytest.fixture
def call(inside: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    return caller("run_offline_suite", monkeypatch, capsys)


def test_the_command_compares(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """In processes of its own, from a store that is still empty."""
    monkeypatch.setitem(DATASET_SUITES, "quick", lambda: [RECALL, replace(RECALL, id="other/x-v0")])
    arguments = ["--contenders", "gru", "bc", "--seeds", "0", "--only", "corridor"]
    status, out, err = call(*arguments, "--collect-only")
    assert (status, err) == (0, "") and out == f"collecting {RECALL.id}\n"
    status, out, err = call(*arguments)
    assert (status, err) == (0, "") and "| mean score over datasets | recall |" in out
    assert "python scripts/run_offline_suite.py --contenders gru bc" in Path("runs/offline-quick/README.md").read_text()


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--suite", "quik"], "unknown offline suite 'quik'; did you mean quick"),
        (["--methods", "grru"], "unknown method 'grru'; did you mean gru"),
        (["--contenders", "ppo"], "unknown method 'ppo'"),
        (["--jobs", "0", "--only", "CartPole-POMDP/expert"], "expected at least 1 run at a time, got 0"),
        (["--only", "nothing"], "no task of the suite quick is called nothing; there are CartPole/medium-replay-v0"),
    ],
)
def test_bad_input_gets_one_line_and_status_2(call: Call, arguments: list[str], message: str) -> None:
    status, out, err = call(*arguments)
    assert (status, out) == (2, "") and err.startswith("error: ") and err.count("\n") == 1 and message in err


def test_the_folder_of_a_run() -> None:
    assert Job(RECALL, "gru", 0).folder(Path("out")) == Path("out/runs/TMazePassive-10-corridor-4-mixed50-v0/gru-s0")

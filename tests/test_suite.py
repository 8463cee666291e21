"""A suite: independent runs that are finished once, whatever happens to some of them or to the suite."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from rl_larnn.agents.reporting.reporter import Reporter
from rl_larnn.agents.reporting.tables import read_rows, write_rows
from rl_larnn.agents.runs.folder import RESULT
from rl_larnn.agents.suites import engines
from rl_larnn.agents.suites import job as job_module
from rl_larnn.agents.suites import tasks as tasks_module
from rl_larnn.agents.suites.definitions import SUITES, Suite, find_suite
from rl_larnn.agents.suites.job import Job, execute, jobs_of
from rl_larnn.agents.suites.records import CURVES, RESULTS, CurvePoint, RunRecord
from rl_larnn.agents.suites.run import read_tables, run_suite
from rl_larnn.agents.suites.tasks import EnvironmentTask, Task
from rl_larnn.agents.suites.view import failures, watching
from rl_larnn.envs import TASKS
from rl_larnn.errors import UserError
from rl_larnn.files import write_json

TINY = {"n_steps": 16, "batch_size": 32, "seq_len": 16, "n_epochs": 1, "hidden_size": 8, "n_envs": 2}
TASK = EnvironmentTask("CartPole-POMDP-v0", 64, TINY)
BROKEN = EnvironmentTask("Pendulum-POMDP-v0", 64, {**TINY, "gamma": "high"})
SUITE = Suite("tiny", (TASK, BROKEN))


def watch(running: Sequence[Job]) -> None:
    pass


def here(jobs: Sequence[Job], out: Path, on_change: object) -> None:
    """An engine without processes."""
    for job in jobs:
        execute(job, out)


@dataclass(frozen=True)
class AnswerTask(Task):
    """Its runs write down a variable of the environment."""

    id, length, record = "here", 1, RunRecord

    @property
    def definition(self) -> dict[str, Any]:
        return {"id": self.id}

    def start(self, method: str, seed: int, run: Path) -> None:
        run.mkdir(parents=True)
        write_json(run / RESULT, os.environ["ANSWER"])

    def resume(self, run: Path) -> None:
        raise NotImplementedError

    def measures(self, result: Any) -> dict[str, Any]:
        return {}


def run(jobs: Sequence[Job], out: Path, suite: Suite = SUITE) -> None:
    run_suite(suite, jobs, out, here, watch)


def test_jobs_come_seed_by_seed() -> None:
    jobs = jobs_of(SUITE, ["gru", "ppo"], [3, 1])
    order = [(job.seed, job.task.id[:4], job.method) for job in jobs]
    assert order == [(s, t, m) for s in (3, 1) for t in ("Cart", "Pend") for m in ("gru", "ppo")]


def test_every_run_has_a_folder_of_its_own() -> None:
    jobs = [Job(task, name, seed) for task in SUITE.tasks for name in ("a:Net", "b:Net", "gru") for seed in (0, 1)]
    assert len({job.folder(Path("out")) for job in jobs}) == len(jobs)


@pytest.mark.parametrize(
    ("methods", "seeds", "words"),
    [
        (["gur"], [0], "did you mean gru"),
        (["gru", "gru"], [0], "once"),
        (["gru"], [0, -1], "expected seeds of at least 0, got 0, -1"),
        ([], [0], "at least"),
    ],
)
def test_wrong_methods_are_refused(methods: list[str], seeds: list[int], words: str) -> None:
    with pytest.raises(UserError, match=words):
        jobs_of(SUITE, methods, seeds)


def test_the_suites_name_real_tasks_once() -> None:
    for suite in SUITES.values():
        ids = [task.id for task in suite.tasks]
        assert len(set(ids)) == len(ids) > 0
        assert set(ids) <= set(TASKS)
        assert all(task.length > 0 for task in suite.tasks)


def test_a_suite_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('[[task]]\nid = "CartPole-POMDP"\nn_timesteps = 1_000\nsettings = { n_epochs = 2 }\n')
    recall = [task.id for task in find_suite("quick").only(["Repeat", "TMazePassive-1"]).tasks]
    assert recall == ["TMazePassive-10-v0", "RepeatFirstEasy-v0", "RepeatPreviousEasy-v0"]
    assert find_suite(str(path)) == Suite("mine", (EnvironmentTask("CartPole-POMDP-v0", 1000, {"n_epochs": 2}),))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name = ", "expected TOML"),
        ('name = "x"', r"at least one \[\[task\]\]"),
        ('[[task]]\nid = "CartPole-POMDP"\nn_timesteps = 0', "n_timesteps"),
        ('[[task]]\nid = "CartPole-POMDP"\nn_timesteps = true', "n_timesteps"),
        ('[[task]]\nid = "CartPole-POMDP"\nn_timesteps = 9\nsettings = 3', "a table of settings"),
        ('[[task]]\nid = "CartPole-POMPD"\nn_timesteps = 9', "nearest names are CartPole-POMDP"),
        ('[[task]]\nid = "CartPole-POMDP"\nn_timestep = 9', "did you mean n_timesteps"),
        ('[[task]]\nid = "CartPole-POMDP"\nn_timesteps = 9\n' * 2, "each task once"),
    ],
)
def test_a_damaged_suite_file_is_told_on_one_line(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=words):
        find_suite(str(path))


def test_an_unknown_suite_or_task_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown suite 'qick'; did you mean quick"):
        find_suite("qick")
    with pytest.raises(
        UserError, match="no task of the suite quick is called TMaize or Repat; there are CartPole-POMDP-v0,"
    ):
        find_suite("quick").only(["TMaize", "Repat"])
    with pytest.raises(UserError, match="cannot read the suite"):
        find_suite(str(tmp_path / "none.toml"))


def test_a_failed_run_stops_nobody_and_finished_ones_are_not_repeated(tmp_path: Path) -> None:
    jobs = jobs_of(SUITE, ["gru", "ppo"], [0])
    run(jobs, tmp_path)
    records = {(record.task, record.method): record for record in read_rows(tmp_path / RESULTS, RunRecord)}
    assert len(records) == 4
    assert all(("gamma" in record.error) == (record.task == BROKEN.id) for record in records.values())
    result = json.loads((jobs[0].folder(tmp_path) / "run" / "result.json").read_text())
    trials = [mean for _, mean in result["evaluations"]]
    good = records[TASK.id, "gru"]
    assert good.score == pytest.approx(sum(trials[-1:])) and good.steps == 64
    assert good.mean_return == result["mean_return"]
    in_a_checkout = (Path(__file__).parents[1] / ".git").exists()
    assert bool(good.git_revision) == in_a_checkout
    assert good.parameters and good.machine and "torch" in good.versions
    assert [point.score for point in read_rows(tmp_path / CURVES, CurvePoint) if point.method == "gru"] == trials
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("result.json")}
    run(jobs, tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("result.json")} == before


def test_the_same_seed_gives_the_same_score(tmp_path: Path) -> None:
    job = Job(TASK, "gru", 7)
    scores = []
    for name in ("first", "second"):
        execute(job, tmp_path / name)
        scores.append(read_tables([job], tmp_path / name)[0][0].score)
    assert scores[0] == scores[1]


def test_a_run_cut_off_goes_on_from_its_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job, resumed = Job(TASK, "gru", 0), []
    execute(job, tmp_path)
    (job.folder(tmp_path) / "run" / "result.json").unlink()
    (job.folder(tmp_path) / "run" / "model.zip").unlink()
    original = tasks_module.resume
    monkeypatch.setattr(tasks_module, "resume", lambda folder: resumed.append(folder) or original(folder))
    execute(job, tmp_path)
    assert job.finished(tmp_path) and resumed == [job.folder(tmp_path) / "run"]
    _, points = read_tables([job], tmp_path)
    assert len({point.steps for point in points}) == len(points), "no trial twice"
    write_rows(tmp_path / CURVES, CurvePoint, points)


def test_tables_keep_what_other_commands_have_done(tmp_path: Path) -> None:
    suite = Suite("tiny", (TASK,))
    for methods in (["gru"], ["ppo"], ["gru"]):
        run(jobs_of(suite, methods, [0]), tmp_path, suite)
        shown = {record.method for record in read_rows(tmp_path / RESULTS, RunRecord)}
    assert shown == {"gru", "ppo"} == {point.method for point in read_rows(tmp_path / CURVES, CurvePoint)}
    shutil.rmtree(Job(TASK, "ppo", 0).folder(tmp_path))
    run(jobs_of(suite, ["gru"], [0]), tmp_path, suite)
    assert {record.method for record in read_rows(tmp_path / RESULTS, RunRecord)} == {"gru"}


def test_a_run_that_was_stopped_is_not_called_finished(tmp_path: Path) -> None:
    job, reporter, told = Job(TASK, "gru", 0), Reporter(), list[str]()
    reporter.message = told.append  # type: ignore[method-assign]
    with watching([job], tmp_path, reporter) as watch_it:
        watch_it([job])
        engines._note_death(job, tmp_path, 0)
        watch_it([])
    assert told == [f"{job.name}: the process was stopped from outside; start the suite again to go on"]
    assert failures([job], tmp_path)


def test_a_run_that_went_on_elsewhere_names_both_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = [{"git_revision": revision, "machine": "m"} for revision in ("a", "b", "a")]
    job = Job(TASK, "gru", 0)
    for origin in made:
        monkeypatch.setattr(job_module, "origin", lambda origin=origin: origin)
        execute(job, tmp_path)
        (job.run(tmp_path) / "result.json").unlink()
    assert job_module.read_provenance(job.folder(tmp_path)) == {"git_revision": "a then b", "machine": "m"}


def test_two_suites_in_one_folder_are_refused(tmp_path: Path) -> None:
    with FileLock(tmp_path / ".lock"), pytest.raises(UserError, match="another suite is writing"):
        run([], tmp_path)


def test_a_task_may_not_change_under_its_results(tmp_path: Path) -> None:
    run([], tmp_path, Suite("a", (TASK,)))
    run([], tmp_path, Suite("a", (TASK, EnvironmentTask("Acrobot-POMDP-v0", 9))))
    with pytest.raises(UserError, match=r"n_timesteps=64 \(now 65\)"):
        run([], tmp_path, Suite("a", (EnvironmentTask(TASK.id, 65, TINY),)))


def test_processes_do_the_runs_and_a_crash_is_told(tmp_path: Path) -> None:
    jobs = jobs_of(SUITE, ["gru"], [0])
    seen: list[int] = []
    run_suite(SUITE, jobs, tmp_path, engines.find_engine("local", 2), lambda running: seen.append(len(running)))
    assert max(seen) == 2 and seen[-1] == 0
    assert [job.finished(tmp_path) for job in jobs] == [True, False]
    assert "gamma" in (jobs[1].error(tmp_path) or "")


def test_processes_know_the_variables_of_the_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They may begin as copies of a process that is older than these."""
    for seed, answer in enumerate(("one", "two")):
        monkeypatch.setenv("ANSWER", answer)
        job = Job(AnswerTask(), "any", seed)
        engines.run_locally([job], tmp_path, watch, 1)
        assert json.loads((job.run(tmp_path) / RESULT).read_text()) == answer


def test_a_cluster_does_the_same_runs(tmp_path: Path, full_evaluations: None) -> None:
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    try:
        jobs = jobs_of(SUITE, ["gru"], [0])
        run_suite(SUITE, jobs, tmp_path, engines.find_engine("ray"), watch)
        assert [job.finished(tmp_path) for job in jobs] == [True, False]
        assert all((job.folder(tmp_path) / "log.txt").exists() for job in jobs)
    finally:
        ray.shutdown()
    execute(jobs[0], tmp_path / "here")
    cluster, local = (read_tables(jobs[:1], out)[0][0] for out in (tmp_path, tmp_path / "here"))
    assert cluster.score == local.score


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_killed_and_started_again(number: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(
        '[[task]]\nid = "CartPole-POMDP"\nn_timesteps = 4_096\n[[task]]\nid = "RepeatFirstEasy"\nn_timesteps = 4_096\n'
    )
    script = Path(__file__).parents[1] / "scripts" / "run_suite.py"
    command = [sys.executable, str(script), "--suite", "mine.toml", "--memories", "gru", "--seeds", "0", "1"]
    command += ["--jobs", "1", "--out", "out"]
    process = subprocess.Popen(command, cwd=tmp_path, start_new_session=True)
    deadline = time.monotonic() + 300
    while not (found := list(tmp_path.glob("out/runs/*/*/run/result.json"))):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.2)
    time.sleep(3)
    os.kill(process.pid, number)
    assert process.wait(60) == (-number if number == signal.SIGKILL else 130)
    before = {path: path.stat().st_mtime_ns for path in found}
    assert subprocess.run(command, cwd=tmp_path, timeout=600).returncode == 0
    assert len(list(tmp_path.glob("out/runs/*/*/run/result.json"))) == 4
    assert {path: path.stat().st_mtime_ns for path in found} == before

"""A whole suite: its folder, what is still missing, the engine, and the tables at the end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from rl_larnn.agents.reporting.tables import write_rows
from rl_larnn.agents.runs.results import read_result
from rl_larnn.agents.suites.definitions import Suite
from rl_larnn.agents.suites.engines import Engine, OnChange
from rl_larnn.agents.suites.job import Job, earlier_rows
from rl_larnn.agents.suites.records import CURVES, RESULTS, CurvePoint, RunRecord
from rl_larnn.errors import UserError
from rl_larnn.files import locked, read_json, write_json

SUITE = "suite.json"


def run_suite(
    suite: Suite, jobs: Sequence[Job], out: Path, engine: Engine, on_change: OnChange
) -> tuple[list[RunRecord], list[CurvePoint]]:
    """Do those runs that have no result yet, and write the tables of all.

    :param jobs: runs of the suite (:func:`rl_larnn.agents.suites.job.jobs_of`)
    :return: records and curves of these runs, and of others that earlier commands have left in the folder
    :raises UserError: if the folder is in use, or belongs to another suite
    :raises KeyboardInterrupt: on Ctrl-C; what was done is kept, and the tables are written
    """
    kind = suite.tasks[0].record
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot create the folder {out}: {error.strerror}") from error
    with locked(out / ".lock", f"another suite is writing to {out}; wait for it, or choose another --out"):
        for job in jobs:
            job.task.check(job.run(out))
        _keep_definition(suite, out)
        missing = [job for job in jobs if not job.finished(out)]
        try:
            engine(missing, out, on_change)
        finally:
            records, points = read_tables(jobs, out)
            records += earlier_rows(out / RESULTS, kind, jobs, out)
            points += earlier_rows(out / CURVES, CurvePoint, jobs, out)
            write_rows(out / RESULTS, kind, records)
            if points or (out / CURVES).exists():  # on datasets there is no evaluation during training
                write_rows(out / CURVES, CurvePoint, points)
    return records, points


def _keep_definition(suite: Suite, out: Path) -> None:
    """The folder's own tasks; more tasks may join, but none may change under its results."""
    definitions = json.loads(json.dumps([task.definition for task in suite.tasks]))  # a tuple reads back as a list
    path, tasks = out / SUITE, {task["id"]: task for task in definitions}
    if path.exists():
        before = {task["id"]: task for task in read_json(path, "the definition of a suite")["tasks"]}
        for name in before.keys() & tasks.keys():
            old, new = before[name], tasks[name]
            keys = [key for key in {**old, **new} if old.get(key) != new.get(key)]
            if changed := ", ".join(f"{key}={old.get(key)} (now {new.get(key)})" for key in keys):
                raise UserError(f"{out} holds runs of {name} with {changed}; choose another --out")
        tasks = before | tasks
    write_json(path, {"name": suite.name, "tasks": list(tasks.values())})


def read_tables(jobs: Sequence[Job], out: Path) -> tuple[list[RunRecord], list[CurvePoint]]:
    """What has come of the runs so far: a record for each that ended, and every evaluation of those that finished."""
    records = [record for job in jobs if (record := job.record(out)) is not None]
    finished = [(job.key, read_result(job.run(out))) for job in jobs if job.finished(out)]
    return records, [CurvePoint(*key, int(steps), mean) for key, own in finished for steps, mean in own["evaluations"]]

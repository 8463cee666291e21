"""One run of a suite: where it is kept and what became of it. The same wherever it is executed."""

from __future__ import annotations

import shutil
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from rl_larnn.agents.reporting.tables import Row, read_rows
from rl_larnn.agents.runs.checkpoint import has_checkpoint
from rl_larnn.agents.runs.folder import RESULT
from rl_larnn.agents.runs.provenance import origin
from rl_larnn.agents.runs.results import read_result
from rl_larnn.agents.suites.definitions import Suite
from rl_larnn.agents.suites.methods import find_method
from rl_larnn.agents.suites.records import RunRecord, run_name
from rl_larnn.agents.suites.tasks import Task
from rl_larnn.errors import UserError, one_line
from rl_larnn.files import read_json, write_json, write_text

PROVENANCE, ERROR, LOG = "origin.json", "error.txt", "log.txt"

#: Seconds that a run waits for a process of an earlier, killed suite to let go of it.
PATIENCE_S = 60.0


@dataclass(frozen=True)
class Job:
    """One run: a method on a task with a seed."""

    task: Task
    method: str
    seed: int

    @property
    def key(self) -> tuple[str, str, int]:
        """What makes the run unique: task, method and seed."""
        return self.task.id, self.method, self.seed

    @property
    def name(self) -> str:
        """The run in words."""
        return run_name(*self.key)

    def folder(self, out: Path) -> Path:
        """Where, in the suite's folder, the run keeps its log; its run folder is ``run`` in there."""
        return _folder(out, *self.key)

    def run(self, out: Path) -> Path:
        """The run folder."""
        return self.folder(out) / "run"

    def finished(self, out: Path) -> bool:
        """Whether there is a result."""
        return (self.run(out) / RESULT).exists()

    def error(self, out: Path) -> str | None:
        """Why the last attempt failed, on one line; None if it did not."""
        path = self.folder(out) / ERROR
        return path.read_text(encoding="utf-8").strip() if path.exists() and not self.finished(out) else None

    def percent(self, out: Path) -> int:
        """How much of the training is done."""
        return 100 * self.task.done(self.run(out)) // self.task.length

    def record(self, out: Path) -> RunRecord | None:
        """What came of the run; None if it is still to do."""
        if self.finished(out):
            result = read_result(self.run(out))
            versions = "; ".join(f"{name} {version}" for name, version in result["versions"].items())
            found: dict[str, Any] = {
                **self.task.measures(result),
                "parameters": result["parameters"],
                "versions": versions,
            }
        elif (error := self.error(out)) is not None:
            nothing = dict.fromkeys(("score", "mean_return", "steps_per_s", "parameters"))
            found = {**nothing, "steps": self.task.done(self.run(out)), "error": error}
        else:
            return None
        return self.task.record(*self.key, **(found | read_provenance(self.folder(out))))


def _folder(out: Path, task: str, method: str, seed: int) -> Path:
    # The whole name: two modules may each have a class of the same name.
    return out / "runs" / task.replace("/", "-") / f"{method.replace(':', '-')}-s{seed}"


def jobs_of(suite: Suite, methods: Iterable[str], seeds: Iterable[int]) -> list[Job]:
    """All runs of a suite, seed by seed, so that an unfinished suite is a smaller whole one.

    :raises UserError: for an unknown method; if a method or a seed is named twice, or none is; for a seed below 0
    """
    known = suite.tasks[0].methods()
    names, seeds = [find_method(name, known) for name in methods], list(seeds)
    for values in (names, seeds):
        if len(set(values)) < len(values):
            raise UserError(f"expected each method and seed once, got {', '.join(map(str, values))}")
    if any(seed < 0 for seed in seeds):
        raise UserError(f"expected seeds of at least 0, got {', '.join(map(str, seeds))}")
    if not (names and seeds):
        raise UserError("expected at least one method and one seed, got none")
    return [Job(task, name, seed) for seed in seeds for task in suite.tasks for name in names]


def earlier_rows(path: Path, kind: type[Row], jobs: Sequence[Job], out: Path) -> list[Row]:
    """Rows of a table about other runs, of earlier commands, that are still in the suite's folder.

    :param kind: a dataclass whose key begins with task, method and seed
    """
    try:
        rows = read_rows(path, kind)
    except UserError:  # there is no readable table yet
        return []
    now = {job.key for job in jobs}
    return [row for row in rows if row.key[:3] not in now and _folder(out, *row.key[:3]).exists()]


def execute(job: Job, out: Path) -> None:
    """Start the run, or resume it from its checkpoint. An error is written beside it and never raised.

    :raises Interrupted: on SIGTERM, with a checkpoint saved
    """
    folder = job.folder(out)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=PATIENCE_S):
            if not job.finished(out):
                (folder / ERROR).unlink(missing_ok=True)
                _train(job, out)
    except Timeout:
        note_error(job, out, "another process is still at this run")
    except UserError as error:
        note_error(job, out, one_line(error))
    except Exception as error:
        traceback.print_exc()
        note_error(job, out, f"{type(error).__name__}: {one_line(error)}")


def _train(job: Job, out: Path) -> None:
    run = job.run(out)
    before, now = read_provenance(job.folder(out)), origin()
    write_json(job.folder(out) / PROVENANCE, {key: _then(before.get(key, ""), now[key]) for key in now})
    if has_checkpoint(run):
        job.task.resume(run)
        return
    shutil.rmtree(run, ignore_errors=True)  # stopped before its first checkpoint
    job.task.start(job.method, job.seed, run)


def _then(before: str, now: str) -> str:
    """All values in turn, for a run that is resumed on another machine, or with other code."""
    parts = [part for part in before.split(" then ") if part]
    return " then ".join(parts if now in parts else [*parts, now])


def note_error(job: Job, out: Path, message: str) -> None:
    """Keep the reason why a run failed, on one line, beside its log."""
    folder = job.folder(out)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / ERROR, message + "\n")


def read_provenance(folder: Path) -> dict[str, str]:
    """Where a run was made: ``git_revision`` and ``machine``."""
    path = folder / PROVENANCE
    return read_json(path, "the provenance of a run") if path.exists() else {}

"""One run of a suite: where it is kept and what became of it. The same wherever it is executed."""

from __future__ import annotations

import shutil
import traceback
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from rl_larnn.agents.reporting.csv_rows import Row
from rl_larnn.agents.runs.checkpoint import has_checkpoint
from rl_larnn.agents.runs.folder import RESULT
from rl_larnn.agents.runs.provenance import origin
from rl_larnn.agents.suites.records import other_rows
from rl_larnn.errors import Interrupted, UserError, one_line
from rl_larnn.files import read_json, replacing, write_json

ORIGIN, ERROR, LOG = "origin.json", "error.txt", "log.txt"

#: Seconds that a run waits for a process of an earlier, killed suite to let go of it.
PATIENCE_S = 60.0


@dataclass(frozen=True)
class Job(ABC):
    """One run. It goes to other processes, so it holds plain data.

    :param method: who is compared, by name
    """

    method: str
    seed: int

    @property
    @abstractmethod
    def ground(self) -> str:
        """What all methods are compared on, by name: an environment, a dataset."""

    @property
    @abstractmethod
    def total(self) -> int:
        """Steps or updates of the whole run."""

    @abstractmethod
    def done(self, run: Path) -> int:
        """How many of them are done, by the logs of a run folder."""

    @abstractmethod
    def start(self, run: Path) -> None:
        """Do the run, in this new run folder."""

    @abstractmethod
    def resume(self, run: Path) -> None:
        """Go on with the run from the checkpoint in its folder."""

    @property
    def name(self) -> str:
        """The run in words."""
        return f"{self.ground}, {self.method}, seed {self.seed}"

    def folder(self, out: Path) -> Path:
        """Where, in the suite's folder, the run keeps its log; its run folder is ``run`` in there."""
        return job_folder(out, self.ground, self.method, self.seed)

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
        """How far it has come."""
        return 100 * self.done(self.run(out)) // self.total


def job_folder(out: Path, ground: str, method: str, seed: int) -> Path:
    """Where a suite keeps a run."""
    # The whole name: two modules may each have a class of the same name.
    return out / "runs" / ground.replace("/", "-") / f"{method.replace(':', '-')}-s{seed}"


def earlier_rows(path: Path, kind: type[Row], jobs: Sequence[Job], out: Path) -> list[Row]:
    """What earlier commands have left in a table about other runs that are still in the suite's folder.

    :param kind: a dataclass whose key begins with ground, method and seed
    """
    now = {(job.ground, job.method, job.seed) for job in jobs}
    return [row for row in other_rows(path, kind, now) if job_folder(out, *row.key[:3]).exists()]


def execute(job: Job, out: Path) -> None:
    """Do the run, or go on with it from its checkpoint. What goes wrong is written beside it, never raised.

    :raises Interrupted: on SIGTERM, with a checkpoint saved
    """
    folder = job.folder(out)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=PATIENCE_S):
            if not job.finished(out):
                (folder / ERROR).unlink(missing_ok=True)
                _work(job, out)
    except (Interrupted, KeyboardInterrupt):
        raise
    except Timeout:
        note_error(job, out, "another process is still at this run")
    except Exception as error:
        if not isinstance(error, UserError):
            traceback.print_exc()
        kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
        note_error(job, out, kind + one_line(error))


def _work(job: Job, out: Path) -> None:
    run = job.run(out)
    path = job.folder(out) / ORIGIN
    write_json(path, _both(read_origin(job.folder(out)), origin()))
    if has_checkpoint(run):
        job.resume(run)
        return
    shutil.rmtree(run, ignore_errors=True)  # cut off before its first checkpoint
    job.start(run)


def _both(before: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
    """Of a run that goes on elsewhere, or with other code, all origins."""
    parts = {key: [part for part in before.get(key, "").split(" then ") if part] for key in now}
    return {key: " then ".join(parts[key] if now[key] in parts[key] else [*parts[key], now[key]]) for key in now}


def note_error(job: Job, out: Path, message: str) -> None:
    """Keep the reason why a run failed, on one line, beside its log."""
    folder = job.folder(out)
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / ERROR) as temporary:
        temporary.write_text(message + "\n", encoding="utf-8")


def read_origin(folder: Path) -> dict[str, str]:
    """Where a run was made: ``git_revision`` and ``machine``."""
    path = folder / ORIGIN
    return read_json(path, "the origin of a run") if path.exists() else {}

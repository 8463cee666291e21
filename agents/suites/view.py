"""How a suite is watched: a live table on a terminal, else a line for every run that has ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Group
from rich.table import Table

from rl_larnn.agents.reporting.reporter import Reporter
from rl_larnn.agents.suites.job import LOG, Job


def view(jobs: Sequence[Job], running: Sequence[Job], out: Path) -> Group:
    """One row per task, one column per method: finished runs of all, percent of those that train, failures."""
    methods = list(dict.fromkeys(job.method for job in jobs))
    table = Table("", *methods, box=None)
    for task in dict.fromkeys(job.task.id for job in jobs):
        cells = []
        for method in methods:
            own = [job for job in jobs if (job.task.id, job.method) == (task, method)]
            percent = [f"{job.percent(out)}%" for job in own if job in running]
            failed = sum(job.error(out) is not None for job in own if job not in running)
            done = f"{sum(job.finished(out) for job in own)}/{len(own)}"
            cells.append(" ".join([done, *percent, *([f"[red]{failed} failed[/]"] if failed else [])]))
        table.add_row(task, *cells)
    return Group(table, f"{sum(job.finished(out) for job in jobs)} of {len(jobs)} runs finished, into {out}")


@contextmanager
def watching(jobs: Sequence[Job], out: Path, reporter: Reporter) -> Iterator[Callable[[Sequence[Job]], None]]:
    """A function to call with the runs that train now: it updates the live table, or tells which runs have ended."""
    before: dict[str, Job] = {}
    with reporter.live() as show:

        def watch(running: Sequence[Job]) -> None:
            if show is not None:
                show(view(jobs, running, out))
                return
            now = {job.name: job for job in running}
            for name in before.keys() - now.keys():
                job = before[name]
                reporter.message(f"{name}: {'finished' if job.finished(out) else job.error(out) or 'stopped'}")
            before.clear()
            before.update(now)

        yield watch


def failures(jobs: Sequence[Job], out: Path) -> list[str]:
    """A line for each run that failed: why, and where its log is."""
    errors = [(job, job.error(out)) for job in jobs]
    return [f"{job.name}: {error} (log: {job.folder(out) / LOG})" for job, error in errors if error is not None]

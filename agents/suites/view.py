"""How a suite is watched: a live table on a terminal, else a line for every run that has ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Group
from rich.live import Live
from rich.table import Table

from rl_larnn.agents.suites.job import LOG, Job


def view(jobs: Sequence[Job], running: Sequence[Job], out: Path) -> Group:
    """What is compared on down, methods across: finished runs of all, percent of those on their way, failures."""
    methods = list(dict.fromkeys(job.method for job in jobs))
    table = Table("", *methods, box=None)
    for ground in dict.fromkeys(job.ground for job in jobs):
        cells = []
        for method in methods:
            own = [job for job in jobs if (job.ground, job.method) == (ground, method)]
            percent = [f"{job.percent(out)}%" for job in own if job in running]
            failed = sum(job.error(out) is not None for job in own if job not in running)
            done = f"{sum(job.finished(out) for job in own)}/{len(own)}"
            cells.append(" ".join([done, *percent, *([f"[red]{failed} failed[/]"] if failed else [])]))
        table.add_row(ground, *cells)
    return Group(table, f"{sum(job.finished(out) for job in jobs)} of {len(jobs)} runs finished, into {out}")


def watcher(jobs: Sequence[Job], out: Path, live: Live, tell: Callable[[str], None]) -> Callable[[Sequence[Job]], None]:
    """What is to be called with the runs that are on their way.

    :param tell: prints a line, where there is no terminal
    """
    told: dict[str, Job] = {}

    def watch(running: Sequence[Job]) -> None:
        if live.console.is_terminal:
            live.update(view(jobs, running, out), refresh=True)
            return
        now = {job.name: job for job in running}
        for name in told.keys() - now.keys():
            job = told[name]
            tell(f"{name}: {'finished' if job.finished(out) else job.error(out) or 'stopped'}")
        told.clear()
        told.update(now)

    return watch


def failures(jobs: Sequence[Job], out: Path) -> list[str]:
    """A line for each run that failed: why, and where its log is."""
    errors = [(job, job.error(out)) for job in jobs]
    return [f"{job.name}: {error} (log: {job.folder(out) / LOG})" for job, error in errors if error is not None]

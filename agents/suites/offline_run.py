"""A whole offline suite: its folder, the runs that are missing, the table and the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from rl_larnn.agents.offline.settings_file import load_offline_settings
from rl_larnn.agents.reporting.csv_rows import write_rows
from rl_larnn.agents.runs.folder import CONFIG
from rl_larnn.agents.suites.job import Job, earlier_rows
from rl_larnn.agents.suites.local import run_locally
from rl_larnn.agents.suites.offline_jobs import OfflineJob, OfflineRecord, record_of
from rl_larnn.agents.suites.records import RESULTS
from rl_larnn.agents.suites.run import only_one
from rl_larnn.errors import UserError


def run_offline_suite(
    jobs: Sequence[OfflineJob], out: Path, at_once: int, on_change: Callable[[Sequence[Job]], None]
) -> list[OfflineRecord]:
    """Do those runs that have no result yet, and write the table of all runs in the folder.

    :param at_once: runs at a time
    :param on_change: told about once a second which runs are on their way
    :raises UserError: if another suite is at the folder, or holds runs of other lengths there
    :raises KeyboardInterrupt: on Ctrl-C; what was done is kept
    """
    check_at_once(at_once)
    with only_one(out):
        for job in jobs:
            _refuse_other_lengths(job, out)
        try:
            run_locally([job for job in jobs if not job.finished(out)], out, at_once, on_change)
        finally:
            records = [record_of(job, out) for job in jobs if job.finished(out)]
            records += earlier_rows(out / RESULTS, OfflineRecord, jobs, out)
            write_rows(out / RESULTS, OfflineRecord, records)
    return records


def check_at_once(number: int) -> None:
    """:raises UserError: unless at least one run may be done at a time."""
    if number < 1:
        raise UserError(f"expected at least 1 run at a time, got {number}")


def _refuse_other_lengths(job: OfflineJob, out: Path) -> None:
    run = job.run(out)
    if (run / CONFIG).exists() and (updates := load_offline_settings(run).plan.updates) != job.updates:
        raise UserError(f"{out} holds {job.name} with {updates} updates, not {job.updates}; choose another --out")

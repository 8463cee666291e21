"""Runs of a suite as tasks of an existing Ray cluster (extra ``distributed``), one CPU each.

The suite's folder must be the same path on all nodes, and the library must be installed there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path

from rl_larnn.agents.suites.job import LOG, Job, execute, note_error
from rl_larnn.errors import UserError, one_line

_PERIOD_S = 1.0


def run_on_ray(
    jobs: Sequence[Job],
    out: Path,
    at_once: int | None,
    on_change: Callable[[Sequence[Job]], None],
    address: str = "auto",
) -> None:
    """Do all runs on a cluster, as many at a time as it has CPUs, at most ``at_once``.

    :param on_change: told every second, and whenever a run has ended, which runs are handed in
    :param address: of the cluster, as ``ray.init`` takes it
    :raises UserError: if Ray is not installed, or there is no cluster at the address
    """
    try:
        import ray
    except ImportError as error:
        raise UserError("the engine ray needs Ray: pip install 'rl-larnn[distributed]'") from error
    began = not ray.is_initialized()
    if began:
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise UserError(
                f"expected a Ray cluster at {address!r} (start one with: ray start --head), got {one_line(error)}"
            ) from error
    remote = ray.remote(num_cpus=1, max_retries=0)(_logged)
    waiting, running = list(reversed(jobs)), dict[object, Job]()
    try:
        while waiting or running:
            while waiting and (at_once is None or len(running) < at_once):
                job = waiting.pop()
                running[remote.remote(job, out.resolve())] = job
            on_change(list(running.values()))
            ended, _ = ray.wait(list(running), num_returns=1, timeout=_PERIOD_S)
            for reference in ended:
                _note_loss(partial(ray.get, reference), running.pop(reference), out)
        on_change([])
    finally:
        for reference in running:
            ray.cancel(reference)
        if began:
            ray.shutdown()


def _logged(job: Job, out: Path) -> None:
    """The run, with all that it says beside it, as where runs are processes of this machine."""
    folder = job.folder(out)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOG).open("a", encoding="utf-8", buffering=1) as log, redirect_stdout(log), redirect_stderr(log):
        execute(job, out)


def _note_loss(result: Callable[[], object], job: Job, out: Path) -> None:
    """A worker or a node that was lost could not write down why."""
    try:
        result()
    except Exception as error:
        if not job.finished(out):
            note_error(job, out, one_line(error)[:300])

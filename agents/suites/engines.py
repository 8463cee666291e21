"""What does the runs of a suite: processes on this machine, or tasks of a Ray cluster (extra ``distributed``)."""

from __future__ import annotations

import faulthandler
import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, TextIO

from rl_larnn.agents.suites.job import LOG, Job, execute, note_error
from rl_larnn.errors import UserError, one_line

#: Told every second, and whenever a run has ended, which runs are on their way.
OnChange = Callable[[Sequence[Job]], None]

#: Does all runs, into the folder of their suite.
Engine = Callable[[Sequence[Job], Path, OnChange], None]

ENGINES = ("local", "ray")

#: Seconds between two looks at the runs.
_PERIOD_S = 1.0


def find_engine(name: str = "local", at_once: int | None = None, address: str = "auto") -> Engine:
    """What does the runs.

    :param name: ``local`` (processes here) or ``ray`` (an existing cluster)
    :param at_once: runs at a time, else 2, or with Ray as many as the cluster takes
    :param address: of the Ray cluster, as ``ray.init`` takes it
    :raises UserError: unless at least one run may be done at a time
    """
    if at_once is not None and at_once < 1:
        raise UserError(f"expected at least 1 run at a time, got {at_once}")
    if name == "ray":
        return partial(_run_on_ray, at_once=at_once, address=address)
    return partial(run_locally, at_once=at_once or 2)


def run_locally(jobs: Sequence[Job], out: Path, on_change: OnChange, at_once: int = 2) -> None:
    """Do all runs, at most ``at_once`` at a time, each in a process of its own.

    :raises KeyboardInterrupt: on Ctrl-C, after every run has saved a checkpoint
    """
    # Processes begin as copies of one that has imported everything and done nothing; that takes seconds a run.
    forks = "forkserver" in multiprocessing.get_all_start_methods()
    context: Any = multiprocessing.get_context("forkserver" if forks else "spawn")
    if forks:
        context.set_forkserver_preload(sorted({type(job.task).__module__ for job in jobs}))

    def start(job: Job) -> BaseProcess:
        process = context.Process(target=_work, args=(job, out, dict(os.environ)), daemon=True)
        process.start()
        return process

    running: dict[BaseProcess, Job] = {}
    try:
        for _ in _start_all(jobs, running, start, at_once, on_change):
            wait([process.sentinel for process in running], timeout=_PERIOD_S)
            for ended in [process for process in running if not process.is_alive()]:
                _note_death(running.pop(ended), out, ended.exitcode)
    finally:
        for left in running:
            left.terminate()
        for left in running:
            left.join()


def _run_on_ray(jobs: Sequence[Job], out: Path, on_change: OnChange, at_once: int | None, address: str) -> None:
    """Do all runs on a cluster, one CPU each, as many at a time as it has CPUs, at most ``at_once``.

    The suite's folder must be the same path on all nodes, and the library must be installed there.

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
    remote, running = ray.remote(num_cpus=1, max_retries=0)(_work_on_ray), dict[Any, Job]()
    try:
        limit = len(jobs) if at_once is None else at_once
        for _ in _start_all(jobs, running, lambda job: remote.remote(job, out.resolve()), limit, on_change):
            for ended in ray.wait(list(running), num_returns=1, timeout=_PERIOD_S)[0]:
                job = running.pop(ended)
                try:
                    ray.get(ended)
                except Exception as error:  # a worker or a node that was lost could not write down why
                    if not job.finished(out):
                        note_error(job, out, one_line(error)[:300])
    finally:
        for reference in running:
            ray.cancel(reference)
        if began:
            ray.shutdown()


def _start_all(
    jobs: Sequence[Job], running: dict[Any, Job], start: Callable[[Job], Any], at_once: int, on_change: OnChange
) -> Iterator[None]:
    """Start what there is room for, until all runs have ended; the caller takes those that have out of ``running``."""
    waiting = deque(jobs)
    while waiting or running:
        while waiting and len(running) < at_once:
            job = waiting.popleft()
            running[start(job)] = job
        on_change(list(running.values()))
        yield
    on_change([])


def _note_death(job: Job, out: Path, status: int | None) -> None:
    """A process that was killed could not write down why; one that was only asked to stop has saved a checkpoint."""
    if job.finished(out) or job.error(out) is not None:
        return
    if not status:
        how = "was stopped from outside; start the suite again to go on"
    else:
        how = f"ended with {signal.Signals(-status).name if status < 0 else f'status {status}'}"
    note_error(job, out, f"the process {how}")


def _open_log(job: Job, out: Path) -> TextIO:
    folder = job.folder(out)
    folder.mkdir(parents=True, exist_ok=True)
    return (folder / LOG).open("a", encoding="utf-8", buffering=1)


def _work_on_ray(job: Job, out: Path) -> None:
    with _open_log(job, out) as log, redirect_stdout(log), redirect_stderr(log):
        execute(job, out)


def _work(job: Job, out: Path, environment: dict[str, str]) -> None:
    """What a process does.

    :param environment: variables of the parent, which may have changed since the first process began
    """
    os.environ.update(environment)
    if hasattr(os, "setsid"):
        os.setsid()  # Ctrl-C in the terminal is the suite's to answer, not every run's
    log = _open_log(job, out)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(log.fileno(), stream.fileno())
    faulthandler.enable()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        execute(job, out)
    except KeyboardInterrupt:
        sys.exit(0)


def _end_with_parent() -> None:
    """A suite that was killed must not leave runs behind: they save a checkpoint and end."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)

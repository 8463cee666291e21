"""Runs of a suite as processes on this machine."""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from multiprocessing.connection import wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from pathlib import Path

from rl_larnn.agents.suites.job import LOG, Job, execute, note_error
from rl_larnn.errors import Interrupted

#: Seconds between two looks at the runs.
_PERIOD_S = 1.0


def run_locally(jobs: Sequence[Job], out: Path, at_once: int, on_change: Callable[[Sequence[Job]], None]) -> None:
    """Do all runs, at most ``at_once`` at a time, each in a process of its own.

    :param on_change: told every second, and whenever a run has ended, which runs are on their way
    :raises KeyboardInterrupt: on Ctrl-C, after every run has saved a checkpoint
    """
    context = _context(jobs)
    waiting = deque(jobs)
    running: dict[BaseProcess, Job] = {}
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                job = waiting.popleft()
                process: BaseProcess = context.Process(  # type: ignore[attr-defined]
                    target=_work, args=(job, out, dict(os.environ)), daemon=True
                )
                process.start()
                running[process] = job
            on_change(list(running.values()))
            wait([process.sentinel for process in running], timeout=_PERIOD_S)
            for ended in [process for process in running if not process.is_alive()]:
                _note_death(running.pop(ended), out, ended.exitcode)
        on_change([])
    finally:
        for left in running:
            left.terminate()
        for left in running:
            left.join()


def _context(jobs: Sequence[Job]) -> BaseContext:
    """How processes begin: as copies of one that has imported everything and done nothing; that takes seconds a run."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(sorted({type(job.task).__module__ for job in jobs}))
    return context


def _note_death(job: Job, out: Path, status: int | None) -> None:
    """A process that was killed could not write down why; one that was only asked to stop has saved a checkpoint."""
    if job.finished(out) or job.error(out) is not None:
        return
    if not status:
        note_error(job, out, "the process was stopped from outside; start the suite again to go on")
    else:
        name = signal.Signals(-status).name if status < 0 else f"status {status}"
        note_error(job, out, f"the process ended with {name}")


def _work(job: Job, out: Path, environment: dict[str, str]) -> None:
    """What a process does.

    :param environment: variables of the parent, which may have changed since the first process began
    """
    os.environ.update(environment)
    if hasattr(os, "setsid"):
        os.setsid()  # Ctrl-C in the terminal is the suite's to answer, not every run's
    folder = job.folder(out)
    folder.mkdir(parents=True, exist_ok=True)
    log = (folder / LOG).open("a", encoding="utf-8", buffering=1)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(log.fileno(), stream.fileno())
    faulthandler.enable()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        execute(job, out)
    except (Interrupted, KeyboardInterrupt):
        sys.exit(0)


def _end_with_parent() -> None:
    """A suite that was killed must not leave runs behind: they save a checkpoint and end."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)

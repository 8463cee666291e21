#!/usr/bin/env python
"""Collect datasets, train learners on each and compare them: python scripts/run_offline_suite.py --suite quick"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.live import Live

from command_line import Parser, script, status_of, this_command
from rl_larnn.agents.suites.offline_jobs import OFFLINE_METHODS, offline_jobs
from rl_larnn.agents.suites.offline_page import summary, write_offline_page
from rl_larnn.agents.suites.offline_run import check_at_once, run_offline_suite
from rl_larnn.agents.suites.offline_sets import OFFLINE_SUITES, collect_missing, offline_suite
from rl_larnn.agents.suites.view import failures, watcher


def parse_arguments() -> argparse.Namespace:
    parser = Parser("Every dataset x learner x seed; start it again to go on.")
    parser.add_argument("--suite", default="quick", help=f"{' or '.join(OFFLINE_SUITES)} (quick)")
    parser.add_argument("--only", nargs="+", metavar="TEXT", help="datasets whose name holds one of these")
    known = ", ".join(OFFLINE_METHODS).replace("%", "%%")
    parser.add_argument("--methods", "--contenders", nargs="+", default=list(OFFLINE_METHODS), help=f"default: {known}")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time (2)")
    parser.add_argument("--collect-only", action="store_true", help="collect the datasets that are missing, and stop")
    parser.add_argument("--out", type=Path, help="folder (runs/offline-NAME)")
    return parser.parse_args()


@script(resumable=True)
def main() -> int:
    arguments = parse_arguments()
    sets = offline_suite(arguments.suite, arguments.only)
    out = arguments.out or Path("runs") / f"offline-{arguments.suite}"
    jobs = offline_jobs(sets, arguments.methods, arguments.seeds)
    check_at_once(arguments.jobs)
    collect_missing(sets, partial(print, flush=True), progress_bar=True)
    if arguments.collect_only:
        return 0
    with Live(console=Console(stderr=True), auto_refresh=False) as live:
        watch = watcher(jobs, out, live, partial(print, flush=True))
        records = run_offline_suite(jobs, out, arguments.jobs, watch)
    if records:
        page = write_offline_page(out, sets, records, f"Offline suite {arguments.suite}", this_command())
        print(f"{summary(sets, records)}\n\npage: {page}")
    return status_of(failures(jobs, out))


if __name__ == "__main__":
    sys.exit(main())

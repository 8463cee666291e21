#!/usr/bin/env python
"""Train several memories on several tasks and compare them: python scripts/run_suite.py --suite quick"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.live import Live

from command_line import Parser, script, status_of, this_command
from rl_larnn.agents.suites.definitions import METHODS, SUITES, find_suite
from rl_larnn.agents.suites.jobs import jobs_of
from rl_larnn.agents.suites.page import write_page
from rl_larnn.agents.suites.run import ENGINES, Options, run_suite
from rl_larnn.agents.suites.tables import summary_table
from rl_larnn.agents.suites.view import failures, watcher


def parse_arguments() -> argparse.Namespace:
    parser = Parser("Every task x memory x seed; start it again to go on where it was.")
    parser.add_argument("--suite", default="quick", help=f"{', '.join(SUITES)} or a .toml file (quick)")
    parser.add_argument("--only", nargs="+", metavar="TEXT", help="tasks whose id holds one of these")
    parser.add_argument(
        "--methods", "--memories", nargs="+", default=list(METHODS), help=f"default: {' '.join(METHODS)}"
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, help="runs at a time (2; with --engine ray as many as there are CPUs)")
    parser.add_argument("--engine", choices=ENGINES, default="local")
    parser.add_argument("--address", default="auto", help="of the Ray cluster")
    parser.add_argument("--out", type=Path, help="folder (runs/suite-NAME)")
    return parser.parse_args()


@script(resumable=True)
def main() -> int:
    arguments = parse_arguments()
    suite = find_suite(arguments.suite, arguments.only)
    out = arguments.out or Path("runs") / f"suite-{suite.name}"
    jobs = jobs_of(suite, arguments.methods, arguments.seeds)
    options = Options(arguments.engine, arguments.jobs, arguments.address)
    with Live(console=Console(stderr=True), auto_refresh=False) as live:
        records, points = run_suite(suite, jobs, out, options, watcher(jobs, out, live, partial(print, flush=True)))
    if any(record.score is not None for record in records):
        page = write_page(out, records, points, f"Suite {suite.name}", this_command())
        print(f"{summary_table(records)}\n\npage: {page}")
    return status_of(failures(jobs, out))


if __name__ == "__main__":
    sys.exit(main())

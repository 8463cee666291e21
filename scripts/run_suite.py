#!/usr/bin/env python
"""Train several methods on several tasks and compare them: python scripts/run_suite.py --suite quick"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from command_line import Parser, script, status_of, this_command
from rl_larnn.agents.reporting.reporter import TerminalReporter
from rl_larnn.agents.suites.definitions import SUITES, find_suite
from rl_larnn.agents.suites.engines import ENGINES, find_engine
from rl_larnn.agents.suites.job import jobs_of
from rl_larnn.agents.suites.page import write_page
from rl_larnn.agents.suites.run import run_suite
from rl_larnn.agents.suites.suite_results import SuiteResults
from rl_larnn.agents.suites.tables import gain_summary
from rl_larnn.agents.suites.tasks import EnvironmentTask
from rl_larnn.agents.suites.view import failures, watching


def parse_arguments() -> argparse.Namespace:
    parser = Parser("Every task x method x seed; start it again to resume.")
    methods = EnvironmentTask.methods(by_default=True)
    parser.add_argument("--suite", default="quick", help=f"{', '.join(SUITES)} or a .toml file (quick)")
    parser.add_argument("--only", nargs="+", metavar="TEXT", help="tasks whose id holds one of these")
    parser.add_argument("--methods", "--memories", nargs="+", default=methods, help=f"default: {' '.join(methods)}")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, help="runs at a time (2; with --engine ray as many as there are CPUs)")
    parser.add_argument("--engine", choices=ENGINES, default="local")
    parser.add_argument("--address", default="auto", help="of the Ray cluster")
    parser.add_argument("--out", type=Path, help="folder (runs/suite-NAME)")
    return parser.parse_args()


@script(resumable=True)
def main() -> int:
    arguments = parse_arguments()
    suite = find_suite(arguments.suite).only(arguments.only)
    out = arguments.out or Path("runs") / f"suite-{suite.name}"
    jobs = jobs_of(suite, arguments.methods, arguments.seeds)
    engine, reporter = find_engine(arguments.engine, arguments.jobs, arguments.address), TerminalReporter()
    with watching(jobs, out, reporter) as watch:
        records, points = run_suite(suite, jobs, out, engine, watch)
    if any(record.score is not None for record in records):
        page = write_page(out, records, f"Suite {suite.name}", this_command(), points)
        print(f"{gain_summary(SuiteResults(records))}\n\npage: {page}")
    return status_of(failures(jobs, out))


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python
"""Collect datasets, train learners on each and compare them: python scripts/run_offline_suite.py --suite quick"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from command_line import Parser, script, status_of, this_command
from rl_larnn.agents.reporting.reporter import TerminalReporter
from rl_larnn.agents.suites.definitions import DATASET_SUITES, collect_missing, find_dataset_suite
from rl_larnn.agents.suites.engines import ENGINES, find_engine
from rl_larnn.agents.suites.job import jobs_of
from rl_larnn.agents.suites.page import write_page
from rl_larnn.agents.suites.run import run_suite
from rl_larnn.agents.suites.suite_results import SuiteResults
from rl_larnn.agents.suites.tables import dataset_summary
from rl_larnn.agents.suites.tasks import DatasetTask
from rl_larnn.agents.suites.view import failures, watching


def parse_arguments() -> argparse.Namespace:
    parser = Parser("Every dataset x method x seed; start it again to resume.")
    methods = DatasetTask.methods(by_default=True)
    known = " ".join(methods).replace("%", "%%")
    parser.add_argument("--suite", default="quick", help=f"{' or '.join(DATASET_SUITES)} (quick)")
    parser.add_argument("--only", nargs="+", metavar="TEXT", help="datasets whose name holds one of these")
    parser.add_argument("--methods", "--contenders", nargs="+", default=methods, help=f"default: {known}")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, help="runs at a time (2; with --engine ray as many as there are CPUs)")
    parser.add_argument("--engine", choices=ENGINES, default="local")
    parser.add_argument("--address", default="auto", help="of the Ray cluster")
    parser.add_argument("--collect-only", action="store_true", help="collect the datasets that are missing, and stop")
    parser.add_argument("--out", type=Path, help="folder (runs/offline-NAME)")
    return parser.parse_args()


@script(resumable=True)
def main() -> int:
    arguments = parse_arguments()
    suite = find_dataset_suite(arguments.suite).only(arguments.only)
    out = arguments.out or Path("runs") / f"offline-{suite.name}"
    jobs = jobs_of(suite, arguments.methods, arguments.seeds)
    engine, reporter = find_engine(arguments.engine, arguments.jobs, arguments.address), TerminalReporter()
    collect_missing(suite, reporter)
    if arguments.collect_only:
        return 0
    with watching(jobs, out, reporter) as watch:
        records, _ = run_suite(suite, jobs, out, engine, watch)
    if any(record.score is not None for record in records):
        page = write_page(out, records, f"Offline suite {suite.name}", this_command(), datasets=suite.tasks)
        print(f"{dataset_summary(SuiteResults(records), suite.tasks)}\n\npage: {page}")
    return status_of(failures(jobs, out))


if __name__ == "__main__":
    sys.exit(main())

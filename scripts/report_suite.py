#!/usr/bin/env python
"""Write the page of a suite again from its tables: python scripts/report_suite.py docs/results/quick"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from command_line import Parser, script
from rl_larnn.agents.reporting.tables import read_rows
from rl_larnn.agents.suites.definitions import find_dataset_suite
from rl_larnn.agents.suites.page import read_heading, write_page
from rl_larnn.agents.suites.records import CURVES, RESULTS, CurvePoint, DatasetRecord, RunRecord
from rl_larnn.agents.suites.suite_results import SuiteResults
from rl_larnn.agents.suites.tables import dataset_summary, gain_summary
from rl_larnn.errors import UserError


def parse_arguments() -> argparse.Namespace:
    parser = Parser(f"Rebuild README.md and its pictures from {RESULTS} and {CURVES}.")
    parser.add_argument("folder", type=Path, help=f"folder with {RESULTS} and, for learning curves, {CURVES}")
    parser.add_argument("--title", help="heading of the page (that of the page in the folder)")
    parser.add_argument("--command", help="command that reproduces the runs (that of the page in the folder)")
    return parser.parse_args()


@script()
def main() -> None:
    arguments = parse_arguments()
    folder = arguments.folder
    records = read_rows(folder / RESULTS, RunRecord, DatasetRecord)
    curves = read_rows(folder / CURVES, CurvePoint) if (folder / CURVES).exists() else []
    results = SuiteResults(records)
    title, command = read_heading(folder) or (f"Results of {folder.resolve().name}", None)
    command = arguments.command or command
    if command is None:
        raise UserError(f"expected --command: {folder} has no page yet that names the command behind its runs")
    offline = any(isinstance(record, DatasetRecord) for record in records)
    datasets = find_dataset_suite("standard").tasks if offline else ()
    page = write_page(folder, records, arguments.title or title, command, curves, datasets)
    summary = dataset_summary(results, datasets) if offline else gain_summary(results)
    print(f"{summary}\npage: {page}")


if __name__ == "__main__":
    sys.exit(main())

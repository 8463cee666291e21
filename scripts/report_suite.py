#!/usr/bin/env python
"""Write the page of a suite again from its tables: python scripts/report_suite.py docs/results/quick"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from command_line import Parser, script
from rl_larnn.agents.suites.page import read_heading, write_page
from rl_larnn.agents.suites.records import CURVES, RESULTS, read_results, read_suite_curves
from rl_larnn.agents.suites.tables import summary_table
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
    records = read_results(folder / RESULTS)
    curves = read_suite_curves(folder / CURVES) if (folder / CURVES).exists() else []
    title, command = read_heading(folder) or (f"Results of {folder.resolve().name}", None)
    command = arguments.command or command
    if command is None:
        raise UserError(f"expected --command: {folder} has no page yet that names the command behind its runs")
    page = write_page(folder, records, curves, arguments.title or title, command)
    print(f"{summary_table(records)}\npage: {page}")


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python
"""Which settings differ, and the scores of each: python scripts/compare_settings.py runs/TMazePassive-50-v0/*"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from command_line import Parser, script
from rl_larnn.agents.evaluation.comparison import comparison_tables, read_run


def parse_arguments() -> argparse.Namespace:
    parser = Parser("Tables of runs by their settings, as Markdown.")
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folders of finished runs")
    parser.add_argument("--target", type=float, help="a mean return: also show after how many steps it was reached")
    return parser.parse_args()


@script()
def main() -> None:
    arguments = parse_arguments()
    print(comparison_tables([read_run(folder) for folder in arguments.runs], arguments.target))


if __name__ == "__main__":
    sys.exit(main())

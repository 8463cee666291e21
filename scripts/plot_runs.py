#!/usr/bin/env python
"""Plot the learning curves of runs and list their results: python scripts/plot_runs.py runs/CartPole-POMDP-v0/*"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from command_line import Parser, script
from rl_larnn.agents.evaluation.plots import plot_curves
from rl_larnn.agents.runs.folder import RESULT, load_settings
from rl_larnn.agents.runs.results import read_result


def parse_arguments() -> argparse.Namespace:
    parser = Parser("Learning curves and results of runs on one environment.")
    parser.add_argument("runs", nargs="+", type=Path, help="run folders")
    parser.add_argument("--out", type=Path, default=Path("curves.png"), help="picture to write (curves.png)")
    return parser.parse_args()


def results_table(folders: list[Path]) -> Table:
    """Per memory: runs, mean and worst return of the final evaluations, how many are solved, when, and how fast."""
    by_method = defaultdict(list)
    for folder in folders:
        if (folder / RESULT).exists():
            result = read_result(folder)
            by_method[load_settings(folder).method].append(result)
    table = Table("method", "runs", "mean return", "worst run", "solved", "median steps to solve", "steps/s (median)")
    for method, results in by_method.items():
        returns = [result["mean_return"] for result in results]
        solved = [value for value, r in zip(returns, results, strict=True) if value >= (r["threshold"] or np.inf)]
        steps = [result["solved_at_steps"] for result in results if result["solved_at_steps"]]
        table.add_row(
            method,
            str(len(results)),
            f"{np.mean(returns):.1f}",
            f"{min(returns):.1f}",
            f"{len(solved)} of {len(results)}",
            f"{np.median(steps):.0f} ({len(steps)} runs)" if steps else "-",
            f"{np.median([result['steps_per_s'] for result in results]):.0f}",
        )
    return table


@script()
def main() -> None:
    arguments = parse_arguments()
    plot_curves(arguments.runs, arguments.out)
    Console().print(results_table(arguments.runs))
    print(f"curves: {arguments.out}")


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python
"""Agents on variants of their task: python scripts/vary_task.py RUN... --argument corridor --values 50 1000 10000"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from command_line import Parser, script
from rl_larnn.agents.evaluation.load import load_run
from rl_larnn.agents.evaluation.plots import draw_variants
from rl_larnn.agents.evaluation.variation import Variant, evaluate_variants, variants_table
from rl_larnn.agents.reporting.reporter import TerminalReporter
from rl_larnn.agents.reporting.tables import read_rows, write_rows
from rl_larnn.agents.settings.values import parse_pairs


def parse_arguments() -> argparse.Namespace:
    parser = Parser("Evaluate agents, without training them further, on other variants.")
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="run folders, of one environment")
    parser.add_argument("--argument", required=True, help="argument of the environment to vary, such as corridor")
    parser.add_argument("--values", required=True, nargs="+", type=float)
    parser.add_argument("--env-kwargs", nargs="+", default=[], metavar="KEY=VALUE", help="other arguments, fixed")
    parser.add_argument("--episodes", type=int, default=100, help="per agent and value (100)")
    parser.add_argument("--out", type=Path, default=Path("runs/variants"), help="folder of table and picture; what is "
                        "in its table is not evaluated again (runs/variants)")  # fmt: skip
    return parser.parse_args()


@script()
def main() -> None:
    arguments = parse_arguments()
    table = arguments.out / "variants.csv"
    arguments.out.mkdir(parents=True, exist_ok=True)
    done = read_rows(table, Variant) if table.exists() else []
    runs = [load_run(folder, "cpu") for folder in arguments.runs]
    variants = evaluate_variants(
        runs,
        arguments.argument,
        arguments.values,
        arguments.episodes,
        done,
        partial(write_rows, table, Variant),
        parse_pairs(arguments.env_kwargs, "--env-kwargs"),
        TerminalReporter(),
    )
    print(variants_table(variants))
    draw_variants(arguments.out / "variants.png", variants)
    print(f"\ntable: {table}\npicture: {arguments.out / 'variants.png'}")


if __name__ == "__main__":
    sys.exit(main())

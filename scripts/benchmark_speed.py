#!/usr/bin/env python
"""Compare the speed of memories and of others' agents: python scripts/benchmark_speed.py"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from command_line import Parser, script, this_command
from rl_larnn.agents.benchmark.acting import measure_steps
from rl_larnn.agents.benchmark.offline import measure_updates
from rl_larnn.agents.benchmark.report import PARTS, Report
from rl_larnn.agents.benchmark.scans import measure_average, measure_larnn, measure_scans, measure_windows
from rl_larnn.agents.benchmark.training import MEMORY_OPTIONS, agents, measure_collecting, measure_training
from rl_larnn.agents.reporting.reporter import TerminalReporter
from rl_larnn.agents.reporting.styles import check_picture
from rl_larnn.errors import UserError


def parse_arguments() -> argparse.Namespace:
    parser = Parser("Methods take turns; ratios are medians over rounds, with spread.")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and sizes: under 2 minutes")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="parts to measure (all)")
    parser.add_argument("--env", default="CartPole-POMDP-v0", help="environment to train on (CartPole-POMDP-v0)")
    parser.add_argument("--n-envs", type=int, default=8, help="environments side by side (8)")
    parser.add_argument("--rounds", type=int, help="turns of each method (7; with --quick 3)")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch (1)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every measured time")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write a picture; needs all parts")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables as Markdown")
    return parser.parse_args()


def measure(arguments: argparse.Namespace) -> Report:
    """Measure the chosen parts."""
    quick, device = arguments.quick, arguments.device
    rounds, report = arguments.rounds or (3 if quick else 7), Report(device)
    with TerminalReporter().progress() as bar:
        if {"training", "collecting"} & set(arguments.only):
            methods = agents(arguments.env, arguments.n_envs, list(MEMORY_OPTIONS), device)
            report.training = measure_training(methods, rounds, bar)  # collecting needs started agents
            if "collecting" in arguments.only:
                report.collecting = measure_collecting(methods, rounds, bar)
        if "scans" in arguments.only:
            lengths = (32, 256, 1024) if quick else (32, 64, 128, 512, 1024, 4096)
            report.scans = measure_scans(lengths, 256 if quick else 1024, rounds, device, bar)
        if "growth" in arguments.only:
            report.growth = measure_average(rounds, device, bar)
        if "larnn" in arguments.only:
            report.larnn = measure_larnn(2 if quick else 5, device, bar)
        if "windows" in arguments.only:
            report.windows = measure_windows(rounds, device, bar)
        if "offline" in arguments.only:
            report.offline = measure_updates(rounds, device, bar)
        if "steps" in arguments.only:
            places = (10, 1_000, 10_000) if quick else (10, 1_000, 100_000)
            report.steps = {rows: measure_steps(rows, places, bar) for rows in ((1,) if quick else (1, 64))}
    return report


@script()
def main() -> None:
    arguments, console = parse_arguments(), Console()
    torch.set_num_threads(arguments.threads)
    if arguments.device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda needs a GPU that torch can use, and there is none")
    if arguments.plot:
        check_picture(arguments.plot)  # before an hour of measuring
    report = measure(arguments)
    machine = report.machine()
    console.print(", ".join(f"{name} {value}" for name, value in machine.items()))
    for title, header, rows in report.tables():
        table = Table(*header, title=title)
        for row in rows:
            table.add_row(*row)
        console.print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps(report.as_data(), indent=1))
    if arguments.markdown:
        arguments.markdown.write_text(report.markdown(this_command()))
    if arguments.plot:
        report.plot(arguments.plot)


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python
"""What can a memory hold? Scores without training an agent: python scripts/probe_memory.py --memory aaren"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Column, Table

from command_line import Parser, script
from rl_larnn.agents.probes import PANEL, PROBES, Scores, Subject, measure_panel, rows, writer
from rl_larnn.agents.reporting.bars import share_bar
from rl_larnn.agents.settings.values import parse_pairs
from rl_larnn.errors import UserError


def parse_arguments() -> argparse.Namespace:
    parser = Parser("Linear readouts of what a memory was shown, untrained and fitted.")
    parser.add_argument("--memory", nargs="+", metavar="NAME", help="names or package.module:Class; default: the panel")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="option of the one memory")
    parser.add_argument("--probes", nargs="+", choices=PROBES, default=list(PROBES), metavar="P", help="default: all")
    parser.add_argument("--untrained", action="store_true", help="without the fits, which take most of the time")
    parser.add_argument("--out", nargs="+", type=Path, default=[], metavar="FILE", help=".json, .md or a picture")
    parser.add_argument("--no-progress", action="store_true", help="no progress bar")
    return parser.parse_args()


def subjects(arguments: argparse.Namespace) -> list[Subject]:
    """The memories that were asked for."""
    options = parse_pairs(arguments.set)
    if options and len(arguments.memory or []) != 1:
        raise UserError(f"--set goes with one --memory, got {len(arguments.memory or [])}")
    return [Subject(name, options) for name in arguments.memory] if arguments.memory else list(PANEL)


def measure(arguments: argparse.Namespace) -> dict[str, Scores]:
    with share_bar(arguments.no_progress) as tell:
        return measure_panel(
            subjects(arguments),
            [PROBES[name] for name in arguments.probes],
            fitted=not arguments.untrained,
            on_progress=tell,
        )


@script()
def main() -> None:
    torch.set_num_threads(1)  # the networks are small: more threads only wait for each other
    arguments = parse_arguments()
    writers = [writer(path) for path in arguments.out]
    panel = measure(arguments)
    header, cells = rows(panel)
    # Long names break between options only.
    widest = max(len(word) for name, *_ in cells for word in name.split())
    table = Table(Column(header[0], min_width=widest), *header[1:], box=None, padding=(0, 1, 0, 0))
    for row in cells:
        table.add_row(*row)
    Console(soft_wrap=True, highlight=False).print(table, "\n0: chance, 1: all of it")
    for write in writers:
        write(panel)


if __name__ == "__main__":
    sys.exit(main())

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
from rl_larnn.agents.probes import PROBES, STANDARD_MEMORIES, MemoryConfig, Scores, file_writer, measure_memories, rows
from rl_larnn.agents.reporting.reporter import TerminalReporter
from rl_larnn.agents.settings.values import parse_pairs
from rl_larnn.errors import UserError


def parse_arguments() -> argparse.Namespace:
    parser = Parser("Linear readouts of what a memory was shown, untrained and fitted.")
    parser.add_argument("--memory", nargs="+", metavar="NAME", help="name or package.module:Class; default: all known")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="option of the one memory")
    parser.add_argument("--probes", nargs="+", choices=PROBES, default=list(PROBES), metavar="P", help="default: all")
    parser.add_argument("--untrained", action="store_true", help="without the fits, which take most of the time")
    parser.add_argument("--out", nargs="+", type=Path, default=[], metavar="FILE", help=".json, .md or a picture")
    parser.add_argument("--no-progress", action="store_true", help="no progress bar")
    return parser.parse_args()


def memories(arguments: argparse.Namespace) -> list[MemoryConfig]:
    options = parse_pairs(arguments.set)
    if options and len(arguments.memory or []) != 1:
        raise UserError(f"--set goes with one --memory, got {len(arguments.memory or [])}")
    return [MemoryConfig(name, options) for name in arguments.memory or ()] or list(STANDARD_MEMORIES)


def measure(arguments: argparse.Namespace) -> dict[str, Scores]:
    probes = [PROBES[name] for name in arguments.probes]
    reporter = TerminalReporter(not arguments.no_progress)
    return measure_memories(memories(arguments), probes, fitted=not arguments.untrained, reporter=reporter)


@script()
def main() -> None:
    torch.set_num_threads(1)  # the networks are small: more threads only wait for each other
    arguments = parse_arguments()
    writers = [file_writer(path) for path in arguments.out]
    scores = measure(arguments)
    header, cells = rows(scores)
    # Long names break between options only.
    widest = max(len(word) for name, *_ in cells for word in name.split())
    table = Table(Column(header[0], min_width=widest), *header[1:], box=None, padding=(0, 1, 0, 0))
    for row in cells:
        table.add_row(*row)
    Console(soft_wrap=True, highlight=False).print(table, "\n0: chance, 1: all of it")
    for write in writers:
        write(scores)


if __name__ == "__main__":
    sys.exit(main())

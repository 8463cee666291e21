#!/usr/bin/env python
"""Collect a dataset for offline learning: python scripts/collect_dataset.py --env CartPole-POMDP --level medium"""

from __future__ import annotations

import argparse
import sys

from rich.console import Console
from rich.table import Table

from command_line import Parser, next_command, script, typed
from rl_larnn.agents.behaviours import LEVELS, CollectConfig, StoredDataset, collect_datasets
from rl_larnn.agents.reporting.reporter import TerminalReporter
from rl_larnn.agents.settings.values import parse_pairs


def parse_arguments() -> argparse.Namespace:
    parser = Parser("Collect a dataset for offline learning into Minari's store.")
    parser.add_argument("--env", required=True, help="what the learner will see; a masked task is stored unmasked too")
    parser.add_argument("--env-kwargs", nargs="+", default=[], metavar="KEY=VALUE", help="arguments of the environment")
    parser.add_argument("--level", choices=LEVELS, help="default expert; mixed: expert or random, by --quality")
    parser.add_argument(
        "--agent", help="run or behaviour folder, SB3 archive, or scripted; default: a script, else one is trained"
    )
    parser.add_argument("--expert", help="the expert, where --agent is medium")
    parser.add_argument("--quality", type=float, help="share of good episodes at the level mixed (0.5)")
    parser.add_argument("--episodes", type=int, help="whole episodes to collect")
    parser.add_argument("--steps", type=int, help="or steps, rounded up to whole episodes (100000)")
    parser.add_argument("--name", help="last part of the dataset's id; default the level")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--deterministic", action="store_true", help="likeliest actions instead of sampled ones")
    parser.add_argument("--device", help="auto, cpu, cuda or cuda:<index> (cpu)")
    parser.add_argument("-n", "--n-timesteps", type=int, help="training steps of a behaviour, if one is trained")
    parser.add_argument("--reference-episodes", type=int, help="behind each reference return of --agent (100)")
    parser.add_argument("--no-progress", action="store_true", help="no progress bar")
    return parser.parse_args()


def run_collection(arguments: argparse.Namespace) -> list[StoredDataset]:
    given = typed(arguments)
    reporter = TerminalReporter(bars=not given.pop("no_progress"))
    env_kwargs = parse_pairs(given.pop("env_kwargs", []), "--env-kwargs")
    return collect_datasets(CollectConfig(**given, env_kwargs=env_kwargs), reporter)


def report(stored: StoredDataset) -> None:
    dataset = stored.dataset
    returns, references = dataset.returns, dataset.references
    table = Table(title=f"{dataset.name} ({dataset.env_id})", show_header=False)
    table.add_row("stored", f"{len(returns)} episodes, {dataset.steps} steps")
    table.add_row("return", f"{returns.mean():.2f} ± {returns.std():.2f}")
    table.add_row("lowest and highest", f"{returns.min():.2f}, {returns.max():.2f}")
    if references is not None:
        table.add_row("normalised score", f"{dataset.normalized_score(returns).mean():.1f}")
        table.add_row("0 is random play, 100 the expert", f"{references.minimum:.2f}, {references.maximum:.2f}")
    Console(soft_wrap=True, highlight=False).print(table)
    print(f"stored in {stored.folder}")


@script(resumable=True)
def main() -> None:
    all_stored = run_collection(parse_arguments())
    for stored in all_stored:
        report(stored)
    print(f"train: {next_command('train_offline.py', '--dataset', all_stored[-1].dataset.name)}")


if __name__ == "__main__":
    sys.exit(main())

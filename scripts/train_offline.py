#!/usr/bin/env python
"""Train a memory agent on a dataset: python scripts/train_offline.py --dataset CartPole-POMDP/medium"""

from __future__ import annotations

import argparse
import shlex
import sys

from rich.console import Console
from rich.table import Table

from command_line import Parser, next_command, refuse_beside_resume, script, typed
from rl_larnn.agents.offline import OfflineConfig
from rl_larnn.agents.reporting.reporter import TerminalReporter
from rl_larnn.agents.settings.values import parse_pairs
from rl_larnn.agents.training import Run, resume_offline, train_offline


def parse_arguments() -> argparse.Namespace:
    parser = Parser("Imitate the episodes of a dataset, at a return that is asked for.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--dataset", help="id in Minari's store, or the path of a D4RL file (.hdf5)")
    what.add_argument("--resume", metavar="RUN", help="continue the run in this folder from its last checkpoint")
    parser.add_argument("--memory", help="aaren, larnn, lstm, gru, none, transformer, ... or package.module:Class")
    parser.add_argument(
        "--target-return", type=float, help="the return to ask for; default an expert's, or the data's highest"
    )
    parser.add_argument("--clone", action="store_true", default=None, help="ask for no return: behaviour cloning")
    parser.add_argument("--best", type=float, help="learn from this share of the steps, the best episodes' (1)")
    parser.add_argument("-n", "--updates", type=int, help="steps of the optimiser")
    parser.add_argument("--env", help="where the agent will act; default what the dataset names")
    parser.add_argument("--env-kwargs", nargs="+", default=[], metavar="KEY=VALUE", help="arguments of the environment")
    parser.add_argument("--download", action="store_true", default=None, help="fetch the dataset if it is Minari's own")
    parser.add_argument("--device", help="auto, cpu, cuda or cuda:<index>")
    parser.add_argument("--run-dir", help="folder to create; default runs/<dataset>/<memory>-s<seed>")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="any setting: seq_len=64")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--checkpoint-freq", type=int, help="updates between checkpoints; default a tenth or 60 s")
    parser.add_argument("--eval-freq", type=int, help="updates between evaluations; default a tenth; 0: none")
    parser.add_argument("--eval-episodes", type=int, help="episodes of the final evaluation (100)")
    parser.add_argument("--threads", type=int, help="threads of torch on the CPU (1)")
    parser.add_argument("--no-progress", action="store_true", help="no progress bar")
    return parser.parse_args()


def run_training(arguments: argparse.Namespace) -> Run:
    given = typed(arguments)
    reporter = TerminalReporter(bars=not given.pop("no_progress"))
    if "resume" not in given:
        settings = parse_pairs(given.pop("set", []))
        env_kwargs = parse_pairs(given.pop("env_kwargs", []), "--env-kwargs")
        return train_offline(OfflineConfig(**given, settings=settings, env_kwargs=env_kwargs), reporter)
    refuse_beside_resume(given, {"updates", "device"})
    return resume_offline(given["resume"], given.get("updates"), given.get("device"), reporter)


def report(run: Run) -> None:
    result, folder = run.result, shlex.quote(str(run.folder))
    score, asked = result.normalized_score, result.target_return
    table = Table(title=f"{result.env}, {result.memory}, {result.eval_episodes} fresh episodes", show_header=False)
    table.add_row("return", f"{result.mean_return:.2f} ± {result.std_return:.2f}")
    table.add_row("normalised score: 0 random play, 100 expert", "not known" if score is None else f"{score:.1f}")
    table.add_row("return that was asked for", "none" if asked is None else f"{asked:.2f}")
    table.add_row("the same, memory reset at every step", f"{result.mean_return_reset:.2f}")
    table.add_row("speed", f"{result.updates_per_s:.0f} updates/s, {result.wall_s:.0f} s, {result.device}")
    Console(soft_wrap=True).print(table)
    evaluate = next_command("evaluate_agent.py", str(run.folder))
    print(f"tensorboard: tensorboard --logdir {folder}\nevaluate:    {evaluate}")


@script()
def main() -> None:
    report(run_training(parse_arguments()))


if __name__ == "__main__":
    sys.exit(main())

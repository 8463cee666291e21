#!/usr/bin/env python
"""Train a memory agent: python scripts/train_agent.py --env CartPole-POMDP"""

from __future__ import annotations

import argparse
import shlex
import sys

from rich.console import Console
from rich.table import Table

from command_line import Parser, next_command, refuse_beside_resume, script, typed
from rl_larnn.agents.algorithms import ALGORITHMS, OURS
from rl_larnn.agents.evaluation.evaluate import reference_rows
from rl_larnn.agents.reporting.reporter import TerminalReporter
from rl_larnn.agents.settings.config import VEC_ENVS
from rl_larnn.agents.settings.values import parse_pairs
from rl_larnn.agents.training import Run, TrainConfig, resume, train


def parse_arguments() -> argparse.Namespace:
    parser = Parser("Train a memory agent on a Gymnasium environment.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--env", help="any Gymnasium id, or one of ours in short: CartPole-POMDP")
    what.add_argument("--resume", metavar="RUN", help="continue the run in this folder from its last checkpoint")
    parser.add_argument("--algo", dest="algorithm", metavar="NAME", help=f"{', '.join(ALGORITHMS)} ({OURS})")
    parser.add_argument("--memory", help="aaren, larnn, ..., or package.module:Class")
    parser.add_argument("--init", metavar="RUN", help="begin with the weights of a run, online or offline")
    parser.add_argument("-n", "--n-timesteps", type=int, help="environment steps in total")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--device", help="auto, cpu, cuda or cuda:<index>")
    parser.add_argument("--n-envs", type=int, help="environments side by side")
    parser.add_argument("--run-dir", help="folder to create; default runs/<env>/<memory>-s<seed>")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="any setting; repeatable")
    parser.add_argument("--env-kwargs", nargs="+", default=[], metavar="KEY=VALUE", help="arguments of the environment")
    parser.add_argument("--vec-env", choices=VEC_ENVS, help="one process, or one per environment")
    parser.add_argument("--checkpoint-freq", type=int, help="steps between checkpoints; default a tenth or 60 s")
    parser.add_argument("--eval-freq", type=int, help="steps between evaluations; 0: none, keep the last agent")
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
        return train(TrainConfig(**given, settings=settings, env_kwargs=env_kwargs), reporter)
    refuse_beside_resume(given, {"n_timesteps", "device"})
    return resume(given["resume"], given.get("n_timesteps"), given.get("device"), reporter)


def report(run: Run) -> None:
    result, folder = run.result, shlex.quote(str(run.folder))
    table = Table(title=f"{result.env}, {result.method}, {result.eval_episodes} fresh episodes", show_header=False)
    table.add_row("return", f"{result.mean_return:.1f} ± {result.std_return:.1f}")
    table.add_row("the same, memory reset at every step", f"{result.mean_return_reset:.1f}")
    for label, value in reference_rows(result.env, result.threshold):
        table.add_row(label, value)
    solved = f"step {result.solved_at_steps}" if result.solved_at_steps else "not yet"
    table.add_row("solved while training (last 100)", f"{solved}; this agent is of step {result.best_at}")
    table.add_row("speed", f"{result.steps_per_s:.0f} steps/s, {result.wall_s:.0f} s, {result.device}")
    Console().print(table)
    print(f"run:         {folder}\ntensorboard: tensorboard --logdir {folder}")
    print(f"evaluate:    {next_command('evaluate_agent.py', str(run.folder))}")


@script()
def main() -> None:
    report(run_training(parse_arguments()))


if __name__ == "__main__":
    sys.exit(main())

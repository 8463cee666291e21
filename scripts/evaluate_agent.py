#!/usr/bin/env python
"""Evaluate the agent of a run: python scripts/evaluate_agent.py runs/CartPole-POMDP-v0/larnn-s0"""

from __future__ import annotations

import argparse
import sys
from functools import partial

from rich.console import Console
from rich.table import Table
from stable_baselines3.common.utils import set_random_seed

from command_line import Parser, script
from rl_larnn.agents.evaluation.evaluate import Evaluation, ResetEveryStep, evaluate, reference_rows
from rl_larnn.agents.evaluation.load import LoadedRun, load_run
from rl_larnn.agents.evaluation.video import record_video
from rl_larnn.agents.offline.config import data_facts
from rl_larnn.agents.settings.environments import reward_threshold
from rl_larnn.envs.datasets import References, normalized_score, target_warning
from rl_larnn.errors import UserError


def parse_arguments() -> argparse.Namespace:
    parser = Parser("Evaluate the agent of a run on fresh episodes.")
    parser.add_argument("run", metavar="RUN", help="run folder, such as runs/CartPole-POMDP-v0/larnn-s0")
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--stochastic", action="store_true", help="sample actions instead of taking the likeliest")
    parser.add_argument("--seed", type=int, help="of the episodes; default: the ones of the evaluation after training")
    parser.add_argument("--target-return", type=float, help="target return, instead of the run's own")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:<index>")
    parser.add_argument("--video", action="store_true", help="also record one episode into the run folder")
    return parser.parse_args()


def run_evaluation(arguments: argparse.Namespace) -> None:
    run = load_run(arguments.run, arguments.device)
    seed = arguments.seed
    if seed is not None and not 0 <= seed < 2**32 - arguments.episodes:
        raise UserError(f"seed must be at least 0 and well below 2**32, got {seed}")
    deterministic = not arguments.stochastic
    # Before episodes are played for minutes: a package for it may be missing.
    video = record_video(run, seed, deterministic, arguments.target_return) if arguments.video else None
    if arguments.stochastic:
        # Loading, and perhaps a video, has seeded the actions otherwise.
        set_random_seed(run.settings.seed if seed is None else seed)
    facts = data_facts(run.folder)
    target = arguments.target_return
    if facts is not None and target is not None and (far := target_warning("the data", facts.returns, target)):
        print(f"warning: {far}", file=sys.stderr)
    make = partial(run.make_environments, seed=seed, target_return=arguments.target_return)
    evaluation = evaluate(run.model, make, arguments.episodes, deterministic)
    references = None if facts is None else facts.references
    report(run, evaluation, references, evaluate(ResetEveryStep(run.model), make, arguments.episodes, deterministic))
    if video is not None:
        print(f"video: {video}")


def report(run: LoadedRun, evaluation: Evaluation, references: References | None, reset: Evaluation) -> None:
    settings = run.settings
    moment = "" if run.finished else f", unfinished: checkpoint of step {run.model.num_timesteps}"
    title = f"{settings.env}, {settings.method}, {len(evaluation.returns)} fresh episodes{moment}"
    table = Table(title=title, show_header=False)
    table.add_row("mean return", f"{evaluation.mean:.2f}")
    if references is not None:
        score = float(normalized_score(evaluation.mean, *references))
        table.add_row("normalised score: 0 random play, 100 expert", f"{score:.1f}")
    table.add_row("standard deviation", f"{evaluation.std:.2f}")
    table.add_row("worst", f"{evaluation.worst:.2f}")
    table.add_row("mean, memory reset every step", f"{reset.mean:.2f}")
    for label, value in reference_rows(settings.env, reward_threshold(settings.env)):
        table.add_row(label, value)
    Console(soft_wrap=True, highlight=False).print(table)


@script()
def main() -> None:
    run_evaluation(parse_arguments())


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python
"""Does a task need memory, and does its agent use it? python scripts/certify.py runs/CartPole-POMDP-v0/aaren-s0"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from command_line import Parser, script
from rl_larnn.agents.certificate import Certificate, certify, paragraph, save_certificate
from rl_larnn.agents.evaluation.load import load_run
from rl_larnn.agents.reporting.reporter import TerminalReporter


def parse_arguments() -> argparse.Namespace:
    parser = Parser("One page on an environment, an agent and its memory.")
    parser.add_argument("run", metavar="RUN", type=Path, help="run folder, such as runs/CartPole-POMDP-v0/aaren-s0")
    parser.add_argument("--budget", type=float, default=150.0, metavar="SECONDS", help="time to spend, roughly (150)")
    parser.add_argument("--episodes", type=int, help="episodes behind every score; default: what fits into the time")
    parser.add_argument("--search-steps", type=int, help="steps of each PPO baseline; default: what fits into the time")
    parser.add_argument("--ceiling", type=float, help="best possible mean return, where the task's is not known")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--stochastic", action="store_true", help="sample actions instead of taking the likeliest")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:<index>")
    parser.add_argument("--out", type=Path, help="folder for the certificate; default: the run's own")
    parser.add_argument("--no-progress", action="store_true", help="no progress bar")
    return parser.parse_args()


def run_certificate(arguments: argparse.Namespace) -> Certificate:
    run = load_run(arguments.run, arguments.device)
    with TerminalReporter(not arguments.no_progress).progress(1.0) as bar:

        def show(share: float, what: str) -> None:
            bar.reach(share)
            bar.note(what)

        return certify(
            run.model,
            run.make_environments,
            budget_s=arguments.budget,
            episodes=arguments.episodes,
            search_steps=arguments.search_steps,
            seed=arguments.seed,
            deterministic=not arguments.stochastic,
            ceiling=arguments.ceiling,
            env_id=run.settings.env,
            on_progress=show,
        )


@script()
def main() -> None:
    torch.set_num_threads(1)  # the networks are small: more threads only wait for each other
    arguments = parse_arguments()
    certificate = run_certificate(arguments)
    files = save_certificate(certificate, arguments.out or arguments.run)
    print(f"environment: {certificate.environment.verdict}")
    print(f"agent uses its memory: {certificate.memory.verdict}\n")
    print(f"{paragraph(certificate)}\n")
    for path in files:
        print(f"written: {path}")


if __name__ == "__main__":
    sys.exit(main())

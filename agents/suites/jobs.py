"""The runs of a suite of environments."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rl_larnn.agents.algorithms import BASELINES
from rl_larnn.agents.runs.logs import steps_logged
from rl_larnn.agents.settings.memory_names import memory_name
from rl_larnn.agents.settings.overrides import settings_taken_by
from rl_larnn.agents.suites.definitions import Suite, SuiteTask
from rl_larnn.agents.suites.job import Job
from rl_larnn.agents.training.run import TrainConfig, resume, train
from rl_larnn.errors import UserError

#: Episodes of the final evaluation: a suite's score comes from the trials during training.
EVAL_EPISODES = 20


@dataclass(frozen=True)
class TaskJob(Job):
    """One run on a task; the method is a memory or a baseline."""

    task: SuiteTask

    @property
    def ground(self) -> str:
        return self.task.id

    @property
    def total(self) -> int:
        return self.task.n_timesteps

    def done(self, run: Path) -> int:
        return steps_logged(run)

    def start(self, run: Path) -> None:
        task = self.task
        train(
            TrainConfig(
                env=task.id,
                memory=self.method,
                n_timesteps=task.n_timesteps,
                seed=self.seed,
                device="cpu",
                run_dir=run,
                settings=settings_taken_by(self.method, task.settings),
                env_kwargs=task.env_kwargs,
                eval_episodes=EVAL_EPISODES,
            )
        )

    def resume(self, run: Path) -> None:
        resume(run)


def jobs_of(suite: Suite, memories: Iterable[str], seeds: Iterable[int]) -> list[TaskJob]:
    """All runs of a suite, seed by seed, so that an unfinished suite is a smaller whole one.

    :raises UserError: for an unknown memory, or one named twice
    """
    names = [name if name in BASELINES else memory_name(name) for name in memories]
    seeds = list(seeds)
    check_once(names, seeds)
    return [TaskJob(name, seed, task) for seed in seeds for task in suite.tasks for name in names]


def check_once(names: list[str], seeds: list[int]) -> None:
    """:raises UserError: if a method or a seed is named twice, or none is; for a seed below 0."""
    for values in (names, seeds):
        if len(set(values)) < len(values):
            raise UserError(f"expected each memory and seed once, got {', '.join(map(str, values))}")
    if any(seed < 0 for seed in seeds):
        raise UserError(f"expected seeds of at least 0, got {', '.join(map(str, seeds))}")
    if not (names and seeds):
        raise UserError("expected at least one memory and one seed, got none")

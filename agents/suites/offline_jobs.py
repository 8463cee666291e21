"""The runs of an offline suite: who learns, from what, and the record of what came of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rl_larnn.agents.offline.config import OfflineConfig
from rl_larnn.agents.runs.logs import steps_logged
from rl_larnn.agents.runs.results import read_result
from rl_larnn.agents.suites.job import Job, read_origin
from rl_larnn.agents.suites.jobs import check_once
from rl_larnn.agents.suites.offline_sets import OfflineSet
from rl_larnn.agents.training import resume_offline, train_offline
from rl_larnn.agents.training.offline import CLOCK
from rl_larnn.errors import unknown_name

#: Who is compared: memories that are told the return, Decision Transformers, and behaviour cloning without memory.
OFFLINE_METHODS: dict[str, Mapping[str, Any]] = {
    "aaren": {"memory": "aaren"},
    "larnn": {"memory": "larnn"},
    "lstm": {"memory": "lstm"},
    "gru": {"memory": "gru"},
    "none": {"memory": "none"},
    "transformer": {"memory": "transformer"},
    "bc": {"memory": "none", "clone": True},
    "bc-best-10%": {"memory": "none", "clone": True, "best": 0.1},
}

#: Episodes of the final evaluation, whose mean is the score.
EVAL_EPISODES = 50


@dataclass(frozen=True)
class OfflineJob(Job):
    """One run; the method is a name of :data:`OFFLINE_METHODS`."""

    dataset: str
    updates: int

    @property
    def ground(self) -> str:
        return self.dataset

    @property
    def total(self) -> int:
        return self.updates

    def done(self, run: Path) -> int:
        return steps_logged(run, CLOCK)

    def start(self, run: Path) -> None:
        train_offline(
            OfflineConfig(
                self.dataset,
                **OFFLINE_METHODS[self.method],
                updates=self.updates,
                seed=self.seed,
                device="cpu",
                run_dir=run,
                eval_freq=0,  # only the last agent counts
                eval_episodes=EVAL_EPISODES,
            )
        )

    def resume(self, run: Path) -> None:
        resume_offline(run)


def offline_jobs(sets: Sequence[OfflineSet], methods: Iterable[str], seeds: Iterable[int]) -> list[OfflineJob]:
    """All runs, seed by seed.

    :raises UserError: for an unknown method, or one named twice
    """
    names, seeds = list(methods), list(seeds)
    for name in names:
        if name not in OFFLINE_METHODS:
            raise unknown_name("method", name, OFFLINE_METHODS)
    check_once(names, seeds)
    return [OfflineJob(name, seed, one.id, one.updates) for seed in seeds for one in sets for name in names]


@dataclass(frozen=True)
class OfflineRecord:
    """One finished run.

    :param score: normalised, 0 for random play and 100 for the expert
    :param wiped: mean return on the same episodes, the memory wiped at every step
    """

    dataset: str
    contender: str
    seed: int
    score: float
    mean_return: float
    wiped: float
    updates: int
    updates_per_s: float
    parameters: int
    git_revision: str = ""
    versions: str = ""
    machine: str = ""

    @property
    def key(self) -> tuple[Any, ...]:
        """What makes the run unique, and its place in the file."""
        return self.dataset, self.contender, self.seed


def record_of(job: OfflineJob, out: Path) -> OfflineRecord:
    """The record of a finished run."""
    result = read_result(job.run(out))
    return OfflineRecord(
        dataset=job.dataset,
        contender=job.method,
        seed=job.seed,
        score=result["normalized_score"],
        mean_return=result["mean_return"],
        wiped=result["mean_return_reset"],
        updates=result["updates"],
        updates_per_s=result["updates_per_s"],
        parameters=result["parameters"],
        versions="; ".join(f"{name} {version}" for name, version in result["versions"].items()),
        **read_origin(job.folder(out)),
    )

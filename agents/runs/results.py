"""The result of a run: what ``result.json`` holds."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rl_larnn.agents.runs.folder import RESULT
from rl_larnn.files import read_json

#: Distributions whose versions a run records.
_RECORDED = ("rl-larnn", "torch", "stable-baselines3", "sb3-contrib", "gymnasium", "numpy")


def versions() -> dict[str, str]:
    """The versions of Python and of the libraries that decide what a run does."""
    return {"python": platform.python_version(), **{name.replace("-", "_"): version(name) for name in _RECORDED}}


#: Part of a run's evaluations, the last ones, that make its score.
SCORED = 0.1


def score(evaluations: Sequence[Sequence[float]]) -> float:
    """How good a run ended: the mean return over the last tenth of its evaluations, at least one.

    :param evaluations: steps and mean return of each
    """
    last = evaluations[-math.ceil(SCORED * len(evaluations)) :]
    return sum(mean for _, mean in last) / len(last)


@dataclass(frozen=True, kw_only=True)
class Result:
    """A finished run.

    :param memory: None for an algorithm that takes none
    :param wall_s: seconds of training over all sessions, without the final evaluation
    :param best_at: steps (or updates) after which the agent was as it was kept
    :param final_selection: steps and mean return of the agents among whom it was chosen, the best first, over the same
        fresh episodes; empty where there was no choice
    :param eval_episodes: fresh episodes behind ``mean_return`` and ``std_return`` (deterministic actions)
    :param mean_return_reset: the same agent on the same episodes, its memory reset before every step
    :param evaluations: steps (or updates) and mean return of each periodic evaluation
    :param parameters: trainable numbers of the agent
    """

    env: str
    memory: str | None
    seed: int
    wall_s: float
    best_at: int
    final_selection: list[list[float]]
    eval_episodes: int
    mean_return: float
    std_return: float
    mean_return_reset: float
    evaluations: list[list[float]]
    parameters: int
    device: str
    threads: int
    versions: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class OnlineResult(Result):
    """A finished run that learned online.

    :param steps: environment steps learned from
    :param threshold: mean return that counts as solved, or None
    :param solved_at_steps: steps when the last 100 training episodes first averaged the threshold, or None
    :param solved_at_s: seconds of training until then, or None
    """

    algorithm: str
    steps: int
    steps_per_s: float
    threshold: float | None
    solved_at_steps: int | None
    solved_at_s: float | None

    @property
    def method(self) -> str:
        """What runs are compared by: the memory or, for an algorithm that takes none, the algorithm."""
        return self.memory or self.algorithm


@dataclass(frozen=True, kw_only=True)
class OfflineResult(Result):
    """A finished run that learned from data.

    :param updates: steps of the optimiser
    :param target_return: the return that was asked for, or None where the agent was cloned
    :param normalized_score: the mean return on the dataset's scale, 0 random play and 100 the expert; or None
    """

    dataset: str
    updates: int
    updates_per_s: float
    target_return: float | None
    normalized_score: float | None


#: Keys of ``result.json`` in earlier revisions, by what they are called now.
_EARLIER_KEYS = {
    "trials": "evaluations",
    "play_off": "final_selection",
    "best_at_steps": "best_at",
    "mean_return_wiped": "mean_return_reset",
}


def read_result(folder: Path) -> dict[str, Any]:
    """The result of a run, as plain data under the names of :class:`Result`, also that of an earlier revision.

    :raises UserError: if there is none, or it is damaged
    """
    found = read_json(folder / RESULT, "the result of a run")
    return {_EARLIER_KEYS.get(key, key): value for key, value in found.items()}

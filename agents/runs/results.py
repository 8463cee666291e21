"""The result of a run: what ``result.json`` holds."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

#: Distributions whose versions a run records.
_RECORDED = ("rl-larnn", "torch", "stable-baselines3", "sb3-contrib", "gymnasium", "numpy")


def versions() -> dict[str, str]:
    """The versions of Python and of the libraries that decide what a run does."""
    return {"python": platform.python_version(), **{name.replace("-", "_"): version(name) for name in _RECORDED}}


#: Part of a run's trials, the last ones, that make its score.
SCORED = 0.1


def score(trials: Sequence[Sequence[float]]) -> float:
    """How good a run ended: the mean return over the last tenth of its trials, at least one.

    :param trials: steps and mean return of each
    """
    last = trials[-math.ceil(SCORED * len(trials)) :]
    return sum(mean for _, mean in last) / len(last)


@dataclass(frozen=True)
class Result:
    """A finished run.

    :param memory: None for an algorithm that takes none
    :param steps: environment steps learned from
    :param wall_s: seconds of training over all sessions, without the final evaluation
    :param best_at_steps: steps after which the agent was at its best: the agent that was kept
    :param play_off: steps and mean return of the agents among whom it was found, the best first, over the same fresh
        episodes (:mod:`rl_larnn.agents.training.selection`); empty where there was no choice
    :param eval_episodes: fresh episodes behind ``mean_return`` and ``std_return`` (deterministic actions)
    :param mean_return_wiped: the same agent on the same episodes, its memory wiped before every step
    :param trials: steps and mean return of each trial during training (ten episodes, deterministic actions)
    :param parameters: trainable numbers of the agent
    :param threshold: mean return that counts as solved, or ``None``
    :param solved_at_steps: steps when the last 100 training episodes first averaged the threshold, or ``None``
    :param solved_at_s: seconds of training until then, or ``None``
    """

    env: str
    algorithm: str
    memory: str | None
    seed: int
    steps: int
    wall_s: float
    steps_per_s: float
    best_at_steps: int
    play_off: list[list[float]]
    eval_episodes: int
    mean_return: float
    std_return: float
    mean_return_wiped: float
    trials: list[list[float]]
    parameters: int
    threshold: float | None
    solved_at_steps: int | None
    solved_at_s: float | None
    device: str
    threads: int
    versions: Mapping[str, str]

    @property
    def method(self) -> str:
        """What runs are compared by: the memory or, for an algorithm that takes none, the algorithm."""
        return self.memory or self.algorithm

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

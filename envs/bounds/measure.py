"""Measure the reference scores of the table of tasks again and compare."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from gymnasium.error import DependencyNotInstalled

from rl_larnn.envs.bounds.floor import find_floor, random_score
from rl_larnn.envs.bounds.memoryless import FAMILIES
from rl_larnn.envs.bounds.rollouts import Score
from rl_larnn.envs.bounds.sources import Calculated, RandomPlay, Search, Source
from rl_larnn.envs.task import Bound, Task

NAMES = ("random", "floor", "ceiling")
STANDARD_ERRORS = 4.0
"""Tolerance of a sampled score: standard errors of its difference from the score in the table."""
ROUNDING = 0.001
"""Tolerance of a calculated score: absolute for scores up to 1, relative above."""
QUICK_EPISODES = 30


@dataclass(frozen=True)
class Check:
    """One score of the table, measured again.

    :param task: id of the task
    :param name: "random", "floor" or "ceiling"
    :param stated: the score in the table
    :param measured: the new score; None where a package is missing
    :param problem: which package is missing, in one line; else empty
    """

    task: str
    name: str
    stated: Bound
    measured: Score | None
    problem: str = ""

    @property
    def agrees(self) -> bool:
        """Whether the two scores differ by no more than the tolerance."""
        return self.measured is not None and abs(self.measured.mean - self.stated.value) <= self.tolerance

    @property
    def tolerance(self) -> float:
        """The largest difference that chance and rounding explain."""
        assert self.measured is not None
        error = np.hypot(self.stated.standard_error or 0.0, self.measured.standard_error)
        return float(STANDARD_ERRORS * error + ROUNDING * max(1.0, abs(self.stated.value)))


def repeatable(task: Task, quick: bool = False) -> list[str]:
    """Return which of the three scores this package computes, so that they can be repeated; ``quick``: no searches."""
    kinds = (Calculated, RandomPlay) if quick else (Calculated, RandomPlay, Search)
    return [name for name in NAMES if isinstance(getattr(task, name).source, kinds)]


def check(
    task: Task, name: str, quick: bool = False, on_generation: Callable[[float], None] = lambda best: None
) -> Check:
    """Measure one score with the arguments of its row; ``quick``: over fewer episodes."""
    stated: Bound = getattr(task, name)
    try:
        return Check(task.id, name, stated, measure(task.id, stated.source, quick, on_generation))
    except DependencyNotInstalled as error:
        return Check(task.id, name, stated, None, str(error))


def measure(env_id: str, source: Source, quick: bool, on_generation: Callable[[float], None]) -> Score:
    """Run the computation that a source describes.

    :raises TypeError: the source describes none
    """
    match source:
        case Calculated(function, arguments):
            return Score(function(**arguments), 0.0, 0)
        case RandomPlay(episodes, seed):
            return random_score(env_id, min(episodes, QUICK_EPISODES) if quick else episodes, seed)
        case Search(settings, families):
            chosen = [FAMILIES[name] for name in families or FAMILIES]
            return find_floor(env_id, settings, chosen, on_generation).score
    raise TypeError(f"expected a source that can be run again, got {source}")


def generations_of(source: Source) -> int:
    """Return how often ``measure`` will call ``on_generation``."""
    if not isinstance(source, Search):
        return 0
    return len(source.families or FAMILIES) * source.settings.restarts * source.settings.generations

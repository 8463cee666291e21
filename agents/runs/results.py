"""The progress of a run during training, and its result at the end."""

from __future__ import annotations

import math
import platform
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rl_larnn.agents.algorithms import method_name
from rl_larnn.agents.runs.folder import RESULT
from rl_larnn.files import read_json

#: Number of recent training episodes whose mean return is compared with the threshold.
WINDOW = 100


@dataclass
class Progress:
    """The progress of a run over all its sessions.

    :param threshold: mean return that counts as solved, or ``None``
    :param recent: returns of the last :data:`WINDOW` training episodes
    :param evaluations: steps (or updates) and mean return of each periodic evaluation
    :param solved_at_steps: steps when the mean of a full ``recent`` first reached the threshold
    :param solved_at_s: seconds of training at that moment
    :param earlier_s: seconds of training in earlier sessions
    """

    threshold: float | None = None
    recent: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))
    evaluations: list[tuple[int, float]] = field(default_factory=list)
    solved_at_steps: int | None = None
    solved_at_s: float | None = None
    earlier_s: float = 0.0

    def __post_init__(self) -> None:
        self._start = time.perf_counter()

    @property
    def wall_s(self) -> float:
        """Seconds of training over all sessions."""
        return self.earlier_s + time.perf_counter() - self._start

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stop the clock inside."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._start += time.perf_counter() - start

    @property
    def mean_return(self) -> float:
        """Mean return of the recent training episodes; NaN without one."""
        return sum(self.recent) / len(self.recent) if self.recent else math.nan

    def add_episode(self, episode_return: float, steps: int) -> None:
        """Record a finished training episode, after ``steps`` environment steps of the run."""
        self.recent.append(episode_return)
        full = len(self.recent) == WINDOW
        if self.threshold is not None and self.solved_at_steps is None and full and self.mean_return >= self.threshold:
            self.solved_at_steps, self.solved_at_s = steps, round(self.wall_s, 3)

    def to_json(self) -> dict[str, Any]:
        """Plain data, with the time up to now."""
        data = {item.name: getattr(self, item.name) for item in fields(self)}
        return {**data, "recent": list(self.recent), "earlier_s": self.wall_s}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Progress:
        """The inverse of :meth:`to_json`, also for files of earlier revisions."""
        evaluations = data["evaluations"] if "evaluations" in data else data["trials"]
        known = {key: value for key, value in data.items() if key in cls.__dataclass_fields__}
        recent = deque(data["recent"], maxlen=WINDOW)
        return cls(**{**known, "recent": recent, "evaluations": [(int(at), float(mean)) for at, mean in evaluations]})


#: Distributions whose versions a run records.
_RECORDED = ("rl-larnn", "torch", "stable-baselines3", "sb3-contrib", "gymnasium", "numpy")


def versions() -> dict[str, str]:
    """The versions of Python and of the libraries that influence a run."""
    return {"python": platform.python_version(), **{name.replace("-", "_"): version(name) for name in _RECORDED}}


def score(evaluations: Sequence[Sequence[float]]) -> float:
    """The score of a run: the mean return over the last tenth of its evaluations, at least one.

    :param evaluations: steps and mean return of each
    """
    last = evaluations[-math.ceil(0.1 * len(evaluations)) :]
    return sum(mean for _, mean in last) / len(last)


@dataclass(frozen=True, kw_only=True)
class Result:
    """The result of a run.

    :param memory: None for an algorithm that takes none
    :param wall_s: seconds of training over all sessions, without the final evaluation
    :param best_at: steps (or updates) at the selected checkpoint
    :param final_selection: steps and mean return of each checkpoint in the final selection, the best first; empty if
        there were not two
    :param eval_episodes: episodes of the final evaluation
    :param mean_return: of the final evaluation, with deterministic actions
    :param mean_return_reset: of the same agent on the same episodes, with its memory reset before every step
    :param evaluations: steps (or updates) and mean return of each periodic evaluation
    :param parameters: number of trainable numbers of the agent
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
    """The result of an online run.

    :param steps: environment steps of the training
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
        """The name that runs are compared by."""
        return method_name(self.algorithm, self.memory)


@dataclass(frozen=True, kw_only=True)
class OfflineResult(Result):
    """The result of an offline run.

    :param updates: steps of the optimiser
    :param target_return: the return that the agent is conditioned on; None for behaviour cloning
    :param normalized_score: the mean return, scaled to 0 for random play and 100 for the expert; None if unknown
    """

    dataset: str
    updates: int
    updates_per_s: float
    target_return: float | None
    normalized_score: float | None


#: Keys of ``result.json`` in earlier revisions, and now.
_EARLIER_KEYS = {
    "trials": "evaluations",
    "play_off": "final_selection",
    "best_at_steps": "best_at",
    "mean_return_wiped": "mean_return_reset",
}


def read_result(folder: Path) -> dict[str, Any]:
    """The result of a run as plain data with the keys of :class:`Result`, also for files of earlier revisions.

    :raises UserError: if it is missing or damaged
    """
    found = read_json(folder / RESULT, "the result of a run")
    return {_EARLIER_KEYS.get(key, key): value for key, value in found.items()}

"""What a run has achieved so far: its learning curve and when it counted as solved. Part of every checkpoint."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

#: Training episodes whose mean return is compared with the threshold.
WINDOW = 100


@dataclass
class Progress:
    """The account of a run, over all its sessions.

    :param threshold: mean return that counts as solved, or ``None``
    :param recent: returns of the last :data:`WINDOW` training episodes
    :param curve: per rollout: steps, mean return of ``recent`` and seconds of training
    :param trials: of each trial (:mod:`rl_larnn.agents.training.evaluations`): steps and mean return
    :param solved_at_steps: steps when the mean of a full ``recent`` first reached the threshold
    :param solved_at_s: seconds of training at that moment
    :param earlier_s: seconds of training in earlier sessions
    """

    threshold: float | None = None
    recent: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))
    curve: list[tuple[int, float, float]] = field(default_factory=list)
    trials: list[tuple[int, float]] = field(default_factory=list)
    solved_at_steps: int | None = None
    solved_at_s: float | None = None
    earlier_s: float = 0.0

    def __post_init__(self) -> None:
        self._began = time.perf_counter()

    @property
    def wall_s(self) -> float:
        """Seconds of training over all sessions."""
        return self.earlier_s + time.perf_counter() - self._began

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stop the clock inside."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._began += time.perf_counter() - began

    @property
    def mean_return(self) -> float:
        """Mean return of the recent training episodes; NaN before the first one ends."""
        return sum(self.recent) / len(self.recent) if self.recent else math.nan

    def add_episode(self, episode_return: float, steps: int) -> None:
        """Count a finished training episode, ``steps`` environment steps into the run."""
        self.recent.append(episode_return)
        full = len(self.recent) == WINDOW
        if self.threshold is not None and self.solved_at_steps is None and full and self.mean_return >= self.threshold:
            self.solved_at_steps, self.solved_at_s = steps, round(self.wall_s, 3)

    def add_point(self, steps: int) -> None:
        """Add a point to the curve, once an episode has ended."""
        if self.recent:
            self.curve.append((steps, round(self.mean_return, 6), round(self.wall_s, 3)))

    def to_json(self) -> dict[str, Any]:
        """Plain data; the clock is stopped in it, and runs on from there after :meth:`from_json`."""
        return {
            "threshold": self.threshold,
            "recent": list(self.recent),
            "curve": [list(point) for point in self.curve],
            "trials": [list(trial) for trial in self.trials],
            "solved_at_steps": self.solved_at_steps,
            "solved_at_s": self.solved_at_s,
            "earlier_s": self.wall_s,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Progress:
        """The inverse of :meth:`to_json`."""
        curve = [(int(steps), float(mean), float(seconds)) for steps, mean, seconds in data["curve"]]
        trials = [(int(steps), float(mean)) for steps, mean in data["trials"]]
        return cls(**{**data, "recent": deque(data["recent"], maxlen=WINDOW), "curve": curve, "trials": trials})

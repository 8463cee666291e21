"""What a run has achieved so far: its evaluations and when it counted as solved. Part of every checkpoint."""

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
    """What a run has achieved, over all its sessions.

    :param threshold: mean return that counts as solved, or ``None``
    :param recent: returns of the last :data:`WINDOW` training episodes
    :param evaluations: of each periodic evaluation: steps (or updates) and mean return
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

    def to_json(self) -> dict[str, Any]:
        """Plain data; the clock is stopped in it, and runs on from there after :meth:`from_json`."""
        return {
            "threshold": self.threshold,
            "recent": list(self.recent),
            "evaluations": [list(evaluation) for evaluation in self.evaluations],
            "solved_at_steps": self.solved_at_steps,
            "solved_at_s": self.solved_at_s,
            "earlier_s": self.wall_s,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Progress:
        """The inverse of :meth:`to_json`, also of what earlier revisions wrote."""
        evaluations = data["evaluations"] if "evaluations" in data else data["trials"]
        known = {key: value for key, value in data.items() if key in cls.__dataclass_fields__}
        recent = deque(data["recent"], maxlen=WINDOW)
        return cls(**{**known, "recent": recent, "evaluations": [(int(at), float(mean)) for at, mean in evaluations]})

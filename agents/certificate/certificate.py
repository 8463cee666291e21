"""What a certificate holds: the bounds known beforehand, three findings, and the counts that repeat it.

The names of the fields are the keys of ``certificate.json``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import sqrt
from statistics import NormalDist
from typing import Any, Self

import numpy as np

from rl_larnn.envs.task import Bound

#: Of every interval. Higher than the usual 95 % because a certificate makes about five comparisons: together they hold
#: with at least 95 % (Bonferroni).
CONFIDENCE = 0.99

#: Differences smaller than this share of the whole scale count as none.
MARGIN = 0.1

#: What ``certificate.json`` has always called some methods.
_NAMES_ON_DISK = {
    "the agent, reset every step": "the agent with its memory wiped",
    "memoryless student of PPO on 4 frames": "memoryless student of the stacked twin",
    "student of PPO on 4 frames, shown its memory": "student of the stacked twin, shown its memory",
}


@dataclass(frozen=True)
class Interval:
    """A mean with Student's t interval at :data:`CONFIDENCE`, in the unit of the returns.

    :param count: episodes, or pairs of episodes, behind it
    """

    mean: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, values: np.ndarray) -> Self:
        """The interval of the mean of independent values (N,), N > 1, such as the differences of pairs of episodes."""
        mean, count = float(values.mean()), len(values)
        half = quantile(count - 1) * float(values.std(ddof=1)) / sqrt(count)
        return cls(mean, mean - half, mean + half, count)

    @property
    def standard_error(self) -> float:
        """Of the mean."""
        return (self.high - self.mean) / quantile(self.count - 1)


def quantile(degrees: int) -> float:
    """Student's t at the upper end of the two-sided interval, right to 0.1 % from 10 degrees of freedom on.

    Source: the expansion around the normal quantile, Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.5.
    """
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    fourth = (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160
    return z + first / degrees + second / degrees**2 + third / degrees**3 + fourth / degrees**4


@dataclass(frozen=True)
class References:
    """Scores that were not measured here. None where nothing is known, or not of the environment as it is here.

    :param env_id: full id with the cues that wrappers add, or the name of the environment's class where it has no id
    :param floor: best score known without memory, of the task as it is in the table (cues added since may raise it)
    :param ceiling: best score known with everything visible
    :param threshold: from which Gymnasium counts the environment as solved
    """

    env_id: str
    floor: Bound | None = None
    ceiling: Bound | None = None
    threshold: float | None = None


@dataclass(frozen=True)
class EnvironmentFinding:
    """Question A: whether an environment needs memory.

    :param verdict: ``"needs memory"``, ``"does not need memory"`` or ``"cannot tell"``
    :param reason: one sentence
    :param scores: of every method, by name
    :param remembering: names of the methods with memory
    :param best_with: name of the best with memory, if any
    :param best_without: name of the best without
    :param gap: best with memory minus best without
    :param table: what the table of tasks says, as one sentence
    """

    verdict: str
    reason: str
    scores: dict[str, Interval]
    remembering: tuple[str, ...]
    best_with: str | None
    best_without: str
    gap: Interval | None
    table: str = ""


@dataclass(frozen=True)
class MemoryFinding:
    """Question B: what an agent does with its memory. Losses are intact minus changed memory, on the same episodes.

    :param verdict: ``"yes"``, ``"no"`` or ``"cannot tell"``: does it use what it remembers?
    :param reason: one sentence
    :param intact: score of the agent as it is
    :param windows: score by observations remembered, the present one among them (1: memory reset every step)
    :param resets: score by steps between resets
    :param swapped: score with the memory of another episode
    :param frozen: score with the memory held as it was after the first step
    :param losses: for each window, and for ``"swapped"`` and ``"frozen"``
    :param horizon: smallest window from which on the loss is clearly under a tenth of what the memory is worth; the
        length of the longest episode if no shorter one is enough; None where the memory is worth nothing
    :param too_short: largest window with a clear loss
    """

    verdict: str
    reason: str
    intact: Interval
    windows: dict[int, Interval] = field(default_factory=dict)
    resets: dict[int, Interval] = field(default_factory=dict)
    swapped: Interval | None = None
    frozen: Interval | None = None
    losses: dict[str, Interval] = field(default_factory=dict)
    horizon: int | None = None
    too_short: int | None = None


@dataclass(frozen=True)
class GainFinding:
    """Question C: how much of what memory could give the agent has gained.

    :param gain: (score - floor) / (ceiling - floor) with its interval; None where a bound is not known
    :param floor: the better of the table's best without memory and the best found here
    :param sources: where floor and ceiling come from, or why there is no gain
    """

    gain: Interval | None
    floor: float | None
    ceiling: float | None
    sources: str


@dataclass(frozen=True)
class Plan:
    """The counts of a certificate.

    :param episodes: behind each score, the same seeds for all
    :param search_steps: environment steps of each PPO baseline; half as many go to the search, and a quarter, within
        the limits of :func:`rl_larnn.agents.certificate.evaluator.student_steps`, to each student
    """

    episodes: int
    search_steps: int


@dataclass(frozen=True)
class Certificate:
    """The findings on an agent and its environment.

    :param agent: class of the model
    :param plan: the counts, which together with the seed repeat it
    :param wall_s: seconds that it took
    """

    references: References
    agent: str
    environment: EnvironmentFinding
    memory: MemoryFinding
    gain: GainFinding
    plan: Plan
    seed: int
    n_envs: int
    deterministic: bool
    wall_s: float

    def to_json(self) -> dict[str, Any]:
        """Plain data, every interval with its ends."""
        return {"env": self.references.env_id, "confidence": CONFIDENCE, **_plain(self)}


def _plain(value: Any) -> Any:
    if isinstance(value, Bound):
        return {"value": value.value, "source": str(value.source), "standard_error": value.standard_error}
    if hasattr(value, "__dataclass_fields__"):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, dict):
        return {_plain(str(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, str):
        return _NAMES_ON_DISK.get(value, value)
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value

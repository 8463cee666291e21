"""The certificate: three findings, and question C, how much is left."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any

from rl_larnn.agents.certificate.evaluator import Plan
from rl_larnn.agents.certificate.intervals import CONFIDENCE, Interval, quantile
from rl_larnn.agents.certificate.memory_need import NEEDS_NOT, EnvironmentFinding, References
from rl_larnn.agents.certificate.memory_use import MemoryFinding
from rl_larnn.envs.task import Bound


@dataclass(frozen=True)
class GainFinding:
    """How much of what memory could give the agent has got.

    :param gain: (score - floor) / (ceiling - floor) with its interval; None where a bound is not known
    :param floor: the better of the table's best without memory and the best found here
    :param sources: where floor and ceiling come from, or why there is no gain
    """

    gain: Interval | None
    floor: float | None
    ceiling: float | None
    sources: str


@dataclass(frozen=True)
class Certificate:
    """The verdict on an agent and its environment.

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


def find_gain(environment: EnvironmentFinding, intact: Interval, known: References) -> GainFinding:
    """Question C. The error of the floor is carried along to first order; that of the ceiling is not known."""
    best = environment.scores[environment.best_without]
    floor, error, source = best.mean, best.standard_error, f"floor found here ({environment.best_without})"
    if known.floor is not None and known.floor.value >= floor:
        floor, error, source = known.floor.value, known.floor.standard_error or 0.0, "floor of the table of tasks"
    if known.ceiling is None:
        return GainFinding(None, floor, None, f"{source}; no ceiling is known")
    ceiling = known.ceiling.value
    if ceiling <= floor or environment.verdict == NEEDS_NOT:
        return GainFinding(None, floor, ceiling, f"{source}, next to the ceiling: memory has nothing to give")
    gain = (intact.mean - floor) / (ceiling - floor)
    half = quantile(intact.count - 1) * sqrt(intact.standard_error**2 + ((1 - gain) * error) ** 2) / (ceiling - floor)
    return GainFinding(Interval(gain, gain - half, gain + half, intact.count), floor, ceiling, source)


def _plain(value: Any) -> Any:
    if isinstance(value, Bound):
        return {"value": value.value, "source": str(value.source), "standard_error": value.standard_error}
    if hasattr(value, "__dataclass_fields__"):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value

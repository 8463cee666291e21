"""Question A: does this environment need memory? The verdict, from scores on the same episodes.

Found scores bound the best possible ones from below only. Hence these rules:

- *needs memory*: something with memory surely beats the best that was found without, **and** imitation shows that what
  was missing is the memory: a student that sees the memory, too, surely beats the best without. A memoryless student
  that fails where a student with memory fails as well says nothing.
- *does not need memory*: something without memory surely comes within a tenth of the ceiling or, where none is known,
  solves the task.
- the table of tasks counts as one more contender without memory, where it knows a floor: a verdict that rests on it
  says so. (An observation with cues holds all that the task shows without, so the floor can still be reached.)
- else *cannot tell*: that an agent with memory is no better than one without may be its own fault.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rl_larnn.agents.certificate.intervals import Interval, quantile
from rl_larnn.agents.certificate.memory_question import MARGIN
from rl_larnn.agents.certificate.references import References

NEEDS, NEEDS_NOT, CANNOT_TELL = "needs memory", "does not need memory", "cannot tell"


@dataclass(frozen=True)
class Contender:
    """A policy that an agent is compared with.

    :param name: as it is shown
    :param remembers: whether it has memory
    :param tried: mean return on the episodes by which contenders are chosen
    :param returns: ``(E,)`` on the episodes by which they are judged
    :param control: a student that is shown the memory of another: it only tells whether imitation works
    """

    name: str
    remembers: bool
    tried: float
    returns: np.ndarray
    control: bool = False


@dataclass(frozen=True)
class EnvironmentFinding:
    """Whether an environment needs memory.

    :param verdict: ``"needs memory"``, ``"does not need memory"`` or ``"cannot tell"``
    :param reason: one sentence
    :param scores: of every contender, by name
    :param remembering: names of those with memory
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


def environment_verdict(contenders: list[Contender], chance: np.ndarray, known: References) -> EnvironmentFinding:
    """Judge the contenders.

    :param chance: returns (E,) of random actions
    """
    without = max((one for one in contenders if not one.remembers), key=lambda one: one.tried)
    with_memory = max(
        (one for one in contenders if one.remembers and not one.control), key=lambda one: one.tried, default=None
    )
    gap = None if with_memory is None else Interval.of_difference(with_memory.returns, without.returns)
    verdict, reason = _verdict(without, with_memory, gap, contenders, chance, known)
    return EnvironmentFinding(
        verdict,
        reason,
        {one.name: Interval.of(one.returns) for one in contenders},
        tuple(one.name for one in contenders if one.remembers),
        None if with_memory is None else with_memory.name,
        without.name,
        gap,
        _table(known),
    )


def reaches(returns: np.ndarray, chance: np.ndarray, known: References) -> str | None:
    """Why these returns (E,) are as good as any memory could make them, or None if that is not sure."""
    return _reaches(Interval.of(returns), chance, known)


def _reaches(score: Interval, chance: np.ndarray, known: References) -> str | None:
    if known.ceiling is not None:  # beside which a threshold says little: it may be half way there
        top = known.ceiling.value
        if top > chance.mean() and score.low >= top - MARGIN * (top - chance.mean()):
            return f"comes within a tenth of the ceiling of {top:g}, measured from random actions"
    elif known.threshold is not None and score.low >= known.threshold:
        return f"solves it: the environment counts as solved from {known.threshold:g}"
    return None


def _verdict(
    without: Contender,
    with_memory: Contender | None,
    gap: Interval | None,
    contenders: list[Contender],
    chance: np.ndarray,
    known: References,
) -> tuple[str, str]:
    if why := reaches(without.returns, chance, known):
        return NEEDS_NOT, f"{without.name} {why}"
    tabled = _tabled(known)
    if tabled is not None and (why := _reaches(tabled, chance, known)):
        return NEEDS_NOT, f"by the table of tasks, not measured here, the best without memory {why}"
    if with_memory is None or gap is None:
        return CANNOT_TELL, "nothing with memory was there to compare with"
    scale = MARGIN * (with_memory.returns.mean() - chance.mean())
    beats_table = tabled is None or Interval.of(with_memory.returns).low - tabled.high > max(scale, 0)
    if gap.low > max(scale, 0) and beats_table:
        controls = [Interval.of_difference(one.returns, without.returns) for one in contenders if one.control]
        if any(control.low > 0 for control in controls):
            return NEEDS, f"{with_memory.name} surely beats the best found without memory ({without.name})"
        if not controls:
            return CANNOT_TELL, "memory leads, but no imitation was possible to show that memory is the reason"
        return CANNOT_TELL, "memory leads, but imitation failed even with memory, so a better way without may exist"
    if gap.high < 0:
        return CANNOT_TELL, f"{without.name} beats whatever has memory here, which may only be undertrained"
    if not beats_table:
        return CANNOT_TELL, "nothing here surely beats the best without memory that the table of tasks knows"
    if known.ceiling is None and known.threshold is None:
        more = "; nothing says how good an agent could be: pass ceiling= to conclude that memory is not needed"
    else:
        more = ", and both are below what is known to be possible"
    return CANNOT_TELL, f"memory does not clearly beat {without.name}{more}"


def _tabled(known: References) -> Interval | None:
    """The floor of the table as if it had been measured here."""
    if known.floor is None:
        return None
    half = quantile(1000) * (known.floor.standard_error or 0.0)
    return Interval(known.floor.value, known.floor.value - half, known.floor.value + half, 1000)


def _table(known: References) -> str:
    if known.ceiling is None:
        return ""
    said = f"ceiling {known.ceiling.value:g} ({known.ceiling.source})"
    if known.floor is None:
        return said
    return f"floor, best known without memory: {known.floor.value:g} ({known.floor.source}); {said}"

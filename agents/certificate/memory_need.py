"""Question A: does this environment need memory? And question C: how much of what memory can give is left?

The best scores found are lower bounds of the best possible ones. Hence these rules, where *clearly* means that the
interval excludes anything else:

- *needs memory*: a method with memory clearly beats the best that was found without, **and** imitation shows that the
  memory is the reason: a student that sees the memory, too, clearly beats the best without. A memoryless student that
  fails where a student with memory fails as well says nothing.
- *does not need memory*: a method without memory clearly comes within a tenth of the ceiling or, where none is known,
  solves the task.
- the table of tasks counts as one more method without memory, where it knows a floor: a verdict that rests on it
  says so. (An observation with cues holds all that the task shows without, so the floor can still be reached.)
- else *cannot tell*: an agent with memory that is no better than one without may only be undertrained.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from math import sqrt
from operator import attrgetter
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec
from stable_baselines3.common.vec_env import VecEnv

from rl_larnn.agents.certificate.certificate import (
    MARGIN,
    EnvironmentFinding,
    GainFinding,
    Interval,
    References,
    quantile,
)
from rl_larnn.envs import TASKS, find_task
from rl_larnn.envs.bounds.sources import Known
from rl_larnn.envs.task import Bound, Task

NEEDS, NEEDS_NOT, CANNOT_TELL = "needs memory", "does not need memory", "cannot tell"

#: What wrappers show beside the task's own observation.
_CUES = {
    "PreviousAction": "its previous action",
    "FirstStepFlag": "a flag at the first step",
    "StepNumber": "the number of the step",
    "ReturnToGo": "the return that is asked for",
    "FrameStackObservation": "several observations at once",
}
#: Wrappers that change nothing of what is seen.
_NEUTRAL = ("Monitor", "FlattenObservation", "RecordEpisodeStatistics")


@dataclass(frozen=True)
class Method:
    """A way to act that was evaluated: the agent, or a baseline.

    :param name: as it is shown
    :param has_memory: whether it has memory
    :param selection_score: mean return on the episodes by which methods are selected
    :param returns: ``(E,)`` on the episodes behind the scores
    :param control: a student that is shown the memory of another: it only shows whether imitation works
    """

    name: str
    has_memory: bool
    selection_score: float
    returns: np.ndarray
    control: bool = False


def environment_verdict(methods: list[Method], random: np.ndarray, known: References) -> EnvironmentFinding:
    """Answer question A.

    :param random: returns (E,) of random actions
    """
    score = attrgetter("selection_score")
    without = max((method for method in methods if not method.has_memory), key=score)
    best = max((method for method in methods if method.has_memory and not method.control), key=score, default=None)
    gap = None if best is None else Interval.of(best.returns - without.returns)
    controls = [Interval.of(method.returns - without.returns) for method in methods if method.control]
    verdict, reason = _verdict(without, best, controls, random, known)
    return EnvironmentFinding(
        verdict,
        reason,
        {method.name: Interval.of(method.returns) for method in methods},
        tuple(method.name for method in methods if method.has_memory),
        None if best is None else best.name,
        without.name,
        gap,
        _table(known),
    )


def reaches(score: Interval, random: np.ndarray, known: References) -> str | None:
    """Why a score is as good as any memory could make it, or None if that is not clear."""
    if known.ceiling is not None:  # beside which a threshold says little: it may be half way there
        top = known.ceiling.value
        if top > random.mean() and score.low >= top - MARGIN * (top - random.mean()):
            return f"comes within a tenth of the ceiling of {top:g}, measured from random actions"
    elif known.threshold is not None and score.low >= known.threshold:
        return f"solves it: the environment counts as solved from {known.threshold:g}"
    return None


def _verdict(
    without: Method, best: Method | None, controls: list[Interval], random: np.ndarray, known: References
) -> tuple[str, str]:
    """Verdict and reason.

    :param without: the best method without memory
    :param best: the best with memory
    :param controls: what each control is better than ``without``
    """
    if why := reaches(Interval.of(without.returns), random, known):
        return NEEDS_NOT, f"{without.name} {why}"
    floor = _floor(known)
    if floor is not None and (why := reaches(floor, random, known)):
        return NEEDS_NOT, f"by the table of tasks, not measured here, the best without memory {why}"
    if best is None:
        return CANNOT_TELL, "there was no method with memory to compare with"
    gap = Interval.of(best.returns - without.returns)
    least = max(MARGIN * (best.returns.mean() - random.mean()), 0)
    beats_table = floor is None or Interval.of(best.returns).low - floor.high > least
    if gap.low > least and beats_table:
        if any(control.low > 0 for control in controls):
            return NEEDS, f"{best.name} clearly beats the best found without memory ({without.name})"
        if not controls:
            return CANNOT_TELL, "memory leads, but no imitation was possible to show that memory is the reason"
        return CANNOT_TELL, "memory leads, but imitation failed even with memory, so a better way without may exist"
    if gap.high < 0:
        return CANNOT_TELL, f"{without.name} beats all methods with memory here, which may only be undertrained"
    if not beats_table:
        return CANNOT_TELL, "nothing here clearly beats the best without memory that the table of tasks knows"
    more = ", and both are below what is known to be possible"
    if known.ceiling is None and known.threshold is None:
        more = "; nothing says how good an agent could be: pass ceiling= to conclude that memory is not needed"
    return CANNOT_TELL, f"memory does not clearly beat {without.name}{more}"


def _floor(known: References) -> Interval | None:
    """The floor of the table as if it had been measured here."""
    if known.floor is None:
        return None
    half = quantile(1000) * (known.floor.standard_error or 0.0)
    return Interval(known.floor.value, known.floor.value - half, known.floor.value + half, 1000)


def _table(known: References) -> str:
    if known.ceiling is None:
        return ""
    ceiling = f"ceiling {known.ceiling.value:g} ({known.ceiling.source})"
    if known.floor is None:
        return ceiling
    return f"floor, best known without memory: {known.floor.value:g} ({known.floor.source}); {ceiling}"


def find_gain(environment: EnvironmentFinding, intact: Interval, known: References) -> GainFinding:
    """Answer question C. The error of the floor is included to first order; that of the ceiling is not known.

    :param intact: score of the agent
    """
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


def find_references(env: VecEnv, env_id: str | None = None, ceiling: float | None = None) -> References:
    """Look an environment up: the bounds in the table of tasks, and when Gymnasium calls it solved.

    :param env_id: where the environments do not know it themselves
    :param ceiling: replaces the table's
    """
    given = None if ceiling is None else Bound(ceiling, Known("given by the caller"))
    here = env.get_attr("spec")[0]
    spec = here if env_id is None else gym.registry.get(env_id.rpartition(":")[2])
    if spec is None:
        return References(env_id or type(env.get_attr("unwrapped")[0]).__name__, ceiling=given)
    task, registered = find_task(spec.id), None if here is None else gym.registry.get(here.id)
    # The wrappers around it, beyond those that it is registered with.
    wrappers = [] if registered is None else here.additional_wrappers[len(registered.additional_wrappers) :]
    added = [wrapper.name for wrapper in wrappers]
    cues = [_CUES[wrapper] for wrapper in added if wrapper in _CUES]
    name = f"{spec.id} (shown {', '.join(cues)})" if cues else spec.id
    ignored = {"render_mode", *(() if task is None else task.free)}
    if registered is not None and _arguments(here, ignored) != _arguments(registered, ignored):
        return References(name, ceiling=given)  # another task, of which nothing is known
    # What a task can reach at best is what its base, with everything visible, reaches.
    known = task or next((row for row in TASKS.values() if _is_base(row, spec)), None)
    return References(
        name,
        # The floor's policy can do without added cues; any other wrapper may take something away.
        floor=task.floor if task is not None and set(added) <= {*_CUES, *_NEUTRAL} else None,
        ceiling=given or (None if known is None else known.ceiling),
        threshold=None if spec.reward_threshold is None else float(spec.reward_threshold),
    )


def _arguments(spec: EnvSpec, ignored: Collection[str]) -> tuple[dict[str, Any], int | None]:
    """What makes two environments of one id different tasks."""
    return {key: value for key, value in spec.kwargs.items() if key not in ignored}, spec.max_episode_steps


def _is_base(row: Task, spec: EnvSpec) -> bool:
    """Whether a task is this environment, with less to see."""
    return row.base == spec.id and not row.kwargs and row.max_episode_steps == spec.max_episode_steps

"""What is known of an environment beforehand: the bounds in the table of tasks, and when Gymnasium calls it solved.

Question A: does this environment need memory? The verdict, from scores on the same episodes.

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

from collections.abc import Collection
from dataclasses import dataclass

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec
from stable_baselines3.common.vec_env import VecEnv

from rl_larnn.agents.certificate.intervals import Interval, quantile
from rl_larnn.agents.certificate.memory_use import MARGIN
from rl_larnn.envs import TASKS, find_task
from rl_larnn.envs.bounds.sources import Known
from rl_larnn.envs.task import Bound, Task

#: What wrappers show beside the task's own observation, in words.
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
class References:
    """Scores that were not measured here. None where nothing is known, or not of the environment as it is here.

    :param env_id: full id, or the name of the environment's class where it has none; with what is shown beside
    :param floor: best score known without memory, of the task as it is in the table (cues added since may raise it)
    :param ceiling: best score known with everything visible
    :param threshold: from which Gymnasium counts the environment as solved
    """

    env_id: str
    floor: Bound | None = None
    ceiling: Bound | None = None
    threshold: float | None = None


def find_references(env: VecEnv, env_id: str | None = None, ceiling: float | None = None) -> References:
    """Look an environment up.

    :param env_id: where the environments do not know it themselves
    :param ceiling: goes before what the table says
    """
    here = env.get_attr("spec")[0]
    spec = here if env_id is None else gym.registry.get(env_id.rpartition(":")[2])
    if spec is None:
        name = env_id or type(env.get_attr("unwrapped")[0]).__name__
        return References(name, ceiling=_given(ceiling))
    task, added = find_task(spec.id), _added(here)
    name = (
        f"{spec.id} (shown {', '.join(cues)})"
        if (cues := [_CUES[word] for word in added if word in _CUES])
        else spec.id
    )
    if not _as_registered(here, () if task is None else task.free):
        return References(name, ceiling=_given(ceiling))  # another task, of which nothing is known
    # What a task can reach at best is what its base, with everything visible, reaches.
    whole = next((row for row in TASKS.values() if _same_task(row, spec)), None)
    known = task or whole
    return References(
        name,
        # Cues add to what the floor's policy saw, which can do without them; any other wrapper may take something away.
        floor=task.floor if task is not None and set(added) <= {*_CUES, *_NEUTRAL} else None,
        ceiling=_given(ceiling) or (None if known is None else known.ceiling),
        threshold=None if spec.reward_threshold is None else float(spec.reward_threshold),
    )


def _added(spec: EnvSpec | None) -> list[str]:
    """The wrappers around an environment, beyond those that it is registered with."""
    registered = None if spec is None else gym.registry.get(spec.id)
    if spec is None or registered is None:
        return []
    return [wrapper.name for wrapper in spec.additional_wrappers[len(registered.additional_wrappers) :]]


def _as_registered(spec: EnvSpec | None, free: Collection[str]) -> bool:
    """Whether an environment has the arguments that it is registered with, apart from free ones."""
    registered = None if spec is None else gym.registry.get(spec.id)
    if spec is None or registered is None:
        return True
    ignored = {*free, "render_mode"}
    kwargs = [{key: value for key, value in one.kwargs.items() if key not in ignored} for one in (spec, registered)]
    return kwargs[0] == kwargs[1] and spec.max_episode_steps == registered.max_episode_steps


def _same_task(row: Task, spec: EnvSpec) -> bool:
    """Whether a row is this environment, with less to see."""
    return row.base == spec.id and not row.kwargs and row.max_episode_steps == spec.max_episode_steps


def _given(ceiling: float | None) -> Bound | None:
    return None if ceiling is None else Bound(ceiling, Known("given by the caller"))


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

"""What is known of an environment beforehand: the bounds in the table of tasks, and when Gymnasium calls it solved."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec
from stable_baselines3.common.vec_env import VecEnv

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

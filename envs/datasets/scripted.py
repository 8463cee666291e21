"""Scripted perfect behaviours for tasks of recall.

The state of a behaviour is a list with one memory for each environment, which is reset where an episode starts.
"""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np

from rl_larnn.envs.datasets.behaviour import Behaviour, Policy
from rl_larnn.envs.tasks.tmaze import DOWN, LEFT, RIGHT, UP, TMaze

Remember = Callable[[np.ndarray, Any], tuple[int, Any]]
"""From an observation and a memory (None at the start of an episode) to an action and the next memory."""


def scripted_behaviour(env: gym.Env) -> Behaviour | None:
    """Return the perfect behaviour for an environment, or None where there is no script.

    There are scripts for T-Maze, passive and active, with any corridor, and for popgym's RepeatFirst and RepeatPrevious
    as in our table of tasks.
    """
    task: Any = env.unwrapped
    name = type(task).__name__
    if isinstance(task, TMaze):
        return Behaviour(_row_by_row(_tmaze), record={"policy": "scripted", "script": "T-Maze"})
    if name.startswith("RepeatFirst") and _shows_cards(env):
        return Behaviour(_row_by_row(_repeat_first), record={"policy": "scripted", "script": "RepeatFirst"})
    if name.startswith("RepeatPrevious") and _shows_cards(env):
        policy = _row_by_row(lambda seen, memory: _repeat_previous(seen, memory, task.k))
        return Behaviour(policy, record={"policy": "scripted", "script": "RepeatPrevious"})
    return None


def _row_by_row(remember: Remember) -> Policy:
    def act(observations: Any, state: Any, starts: np.ndarray) -> tuple[np.ndarray, Any]:
        memories = [None] * len(starts) if state is None else state
        rows = zip(observations, memories, starts, strict=True)
        results = [remember(seen, None if start else memory) for seen, memory, start in rows]
        return np.array([action for action, _ in results]), [memory for _, memory in results]

    return act


def _tmaze(seen: np.ndarray, cue: int | None) -> tuple[int, int | None]:
    """Go left until the cue was seen, then right to the junction, and there into the arm of the cue."""
    at_junction, sign = seen
    if not at_junction and sign:
        cue = int(sign)
    if at_junction:
        return (UP if cue == 1 else DOWN), cue
    return (LEFT if cue is None else RIGHT), cue


def _repeat_first(seen: np.ndarray, first: int | None) -> tuple[int, int]:
    answer = _suit(seen) if first is None else first
    return answer, answer


def _repeat_previous(seen: np.ndarray, cards: tuple[int, ...] | None, k: int) -> tuple[int, tuple[int, ...]]:
    """Name the oldest of the last k cards; before there are k, actions do not matter."""
    cards = (*(cards or ()), _suit(seen))[-k:]
    return cards[0], cards


def _suit(seen: np.ndarray) -> int:
    return int(seen[:4].argmax())


def _shows_cards(env: gym.Env) -> bool:
    """Return whether the observation begins with the suit, one-hot, as in our table of tasks."""
    return env.observation_space.shape == (5,)

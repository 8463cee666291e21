"""MiniGrid Memory as tables: every position and direction in each of the four arrangements of the objects."""

from functools import cache
from typing import Any

import gymnasium as gym
import numpy as np

from rl_larnn.envs.bounds.tabular import LOST, WON, Game, best_table, random_score, table_score, visible_score
from rl_larnn.envs.optional import __getattr__ as load
from rl_larnn.envs.wrappers.reshaping import ObjectsInView

KINDS = (0, 1, 2, 5, 6)
"""MiniGrid's object numbers: not visible, empty, wall, key, ball."""
ACTIONS = 3

Place = tuple[int, int, int]
"""Column, row and direction (0 right, 1 down, 2 left, 3 up) of the agent."""


def memory_random(size: int) -> float:
    """Return the exact mean return of uniformly random actions on the map of ``size`` x ``size`` cells."""
    return random_score(memory_game(size))


def memory_floor(size: int) -> float:
    """Return the exact mean return of the best memoryless table that gradient ascent finds."""
    game = memory_game(size)
    return table_score(game, best_table(game))


def memory_ceiling(size: int) -> float:
    """Return the mean return of the shortest ways to the right object, when it is known."""
    return visible_score(memory_game(size))


def memory_game(size: int) -> Game:
    """Return the task as tables.

    :raises gymnasium.error.DependencyNotInstalled: MiniGrid is missing
    """
    return explore(size)[0]


@cache
def explore(size: int) -> tuple[Game, dict[bytes, int]]:
    """Try every action in every reachable state; return the task as tables and the index of each observation."""
    base = load("minigrid.envs.memory.MemoryEnv")(size=size)
    env = ObjectsInView(base, KINDS)
    after: list[list[int]] = []
    views: list[int] = []
    first_states: list[int] = []
    numbers_of_views: dict[bytes, int] = {}
    for seed in _one_seed_for_each_arrangement(env):
        env.reset(seed=seed)
        # MiniGrid puts the agent anywhere in the corridor, facing right.
        places: list[Place] = [(x, size // 2, 0) for x in range(1, size - 2)]
        first_states += range(len(after), len(after) + len(places))
        outcomes = _walk(env, places)
        numbers = {place: len(after) + i for i, place in enumerate(places)}
        after += [[reached if isinstance(reached, int) else numbers[reached] for reached in row] for row in outcomes]
        views += [numbers_of_views.setdefault(_look(env, place), len(numbers_of_views)) for place in places]
    start = np.zeros(len(after))
    start[first_states] = 1 / len(first_states)
    return Game(np.array(after), np.array(views), start, base.max_steps), numbers_of_views


def _walk(env: gym.Env, places: list[Place]) -> list[list[Place | int]]:
    """Return what each action leads to from each place; append every place that can be reached to ``places``."""
    known, outcomes = set(places), []
    for place in places:  # the list grows meanwhile
        outcomes.append([_outcome(env, place, action) for action in range(ACTIONS)])
        new = [reached for reached in outcomes[-1] if isinstance(reached, tuple) and reached not in known]
        places += dict.fromkeys(new)
        known |= set(new)
    return outcomes


def _one_seed_for_each_arrangement(env: ObjectsInView, arrangements: int = 4) -> list[int]:
    """Return one seed for each arrangement: two objects as the cue, and at two ends."""
    seeds: dict[Any, int] = {}
    for seed in range(1000):
        env.reset(seed=seed)
        base: Any = env.unwrapped
        seeds.setdefault(base.grid.encode().tobytes(), seed)
        if len(seeds) == arrangements:
            break
    return list(seeds.values())


def _put(env: gym.Env, place: Place) -> Any:
    base: Any = env.unwrapped
    x, y, base.agent_dir = place
    base.agent_pos, base.step_count = np.array((x, y)), 0
    return base


def _look(env: ObjectsInView, place: Place) -> bytes:
    return env.observation(_put(env, place).gen_obs()).tobytes()


def _outcome(env: gym.Env, place: Place, action: int) -> Place | int:
    """Return the place that an action leads to, or whether it wins or loses."""
    base = _put(env, place)
    _, reward, terminated, _, _ = base.step(action)
    if terminated:
        return WON if reward > 0 else LOST
    x, y = base.agent_pos
    return int(x), int(y), int(base.agent_dir)

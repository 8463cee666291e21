"""T-Maze: its rules by hand, its optimum and its floor for any length, its random score by brute force."""

from collections import Counter
from itertools import product

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_larnn.envs import TASKS, make
from rl_larnn.envs.tasks.tmaze import DOWN, LEFT, RIGHT, UP, TMaze, random_return

Policy = dict[tuple[int, int], int]
both_forms = pytest.mark.parametrize("active", [False, True], ids=["passive", "active"])


def with_goal(maze: TMaze, goal: int) -> TMaze:
    """Starts an episode with the goal in a chosen arm."""
    seed = next(seed for seed in range(100) if maze.reset(seed=seed) and maze.goal == goal)
    maze.reset(seed=seed)
    return maze


def play_actions(maze: TMaze, actions: list[int]) -> tuple[list[list[int]], list[float], list[bool]]:
    steps = [maze.step(action) for action in actions]
    return [o.astype(int).tolist() for o, *_ in steps], [step[1] for step in steps], [step[2] for step in steps]


def best_actions(maze: TMaze, cue: int) -> list[int]:
    """What the best agent does, once it has seen the cue."""
    return [*([LEFT, RIGHT] if maze.start else []), *[RIGHT] * maze.corridor, UP if cue > 0 else DOWN]


def memoryless_return(maze: TMaze, policy: Policy) -> float:
    """Mean over both goals of a policy that sees one observation at a time."""
    total = 0.0
    for goal in (-1, 1):
        # What reset does, for a chosen goal: the shorter way in a test that plays thousands of episodes.
        maze.goal, maze.x, maze.y, maze.steps, maze._cue_shown = goal, maze.start, 0, 0, False
        observation, done = maze._observe(), False
        while not done:
            observation, reward, done, _, _ = maze.step(policy[int(observation[0]), int(observation[1])])
            total += reward / 2
    return total


@both_forms
@given(corridor=st.integers(1, 300), goal=st.sampled_from([-1, 1]))
def test_remembering_the_cue_reaches_the_ceiling_exactly(active: bool, corridor: int, goal: int) -> None:
    maze = with_goal(TMaze(corridor, active), goal)
    actions = best_actions(maze, goal)
    observations, rewards, done = play_actions(maze, actions)
    assert rewards == [0.0] * (len(actions) - 1) + [1.0] and sum(rewards) == TASKS["TMazePassive-10-v0"].ceiling.value
    assert done == [False] * (len(actions) - 1) + [True] and len(actions) == maze.episode_steps
    # Between the cue and the junction nothing can be told apart.
    assert observations[2 * maze.start : -2] == [[0, 0]] * (corridor - 1) and observations[-2] == [1, 0]
    assert [0, goal] in ([[0, goal]] if not active else observations)


@both_forms
@pytest.mark.parametrize("corridor", [1, 2, 3])
def test_no_memoryless_policy_is_above_the_floor(active: bool, corridor: int) -> None:
    """All 4096 policies that map an observation to an action, tried."""
    seen = [(0, -1), (0, 0), (0, 1), (1, -1), (1, 0), (1, 1)]
    maze = TMaze(corridor, active)
    maze.reset(seed=0)
    scores = [memoryless_return(maze, dict(zip(seen, actions, strict=True))) for actions in product(range(4), repeat=6)]
    assert max(scores) == TASKS["TMazePassive-10-v0"].floor.value == 0.5


@both_forms
@given(corridor=st.integers(1, 300))
def test_going_right_and_up_is_at_the_floor(active: bool, corridor: int) -> None:
    maze = TMaze(corridor, active)
    maze.reset(seed=0)
    policy = {(0, -1): RIGHT, (0, 0): RIGHT, (0, 1): RIGHT, (1, 0): UP, (1, 1): UP, (1, -1): UP}
    assert memoryless_return(maze, policy) == 0.5


@both_forms
@pytest.mark.parametrize("corridor", [1, 2])
def test_random_return_by_trying_every_sequence(active: bool, corridor: int) -> None:
    returns = []
    for goal in (-1, 1):
        maze = TMaze(corridor, active)
        for actions in product(range(4), repeat=maze.episode_steps):
            with_goal(maze, goal)
            returns.append(sum(play_actions(maze, list(actions))[1]))
    assert random_return(corridor, active) == pytest.approx(np.mean(returns), abs=1e-12)


def test_passive_form_by_hand() -> None:
    maze = with_goal(TMaze(4), 1)
    observations, rewards, done = play_actions(maze, [LEFT, RIGHT, UP, RIGHT, RIGHT])
    # The first move goes nowhere: one step behind from then on, a quarter each, and up is a wall.
    assert observations == [[0, 0], [0, 0], [0, 0], [0, 0], [0, 0]] and maze.x == 3
    assert rewards == [-0.25, -0.25, -0.25, -0.25, 0.0] and done[-1]


@both_forms
def test_what_is_seen_first(active: bool) -> None:
    """The cue in the passive form; nothing at all in the active one, which starts beside it."""
    for seed in range(20):
        maze = TMaze(5, active)
        assert maze.reset(seed=seed)[0].tolist() == [0, 0 if active else maze.goal]


def test_the_cue_is_shown_once() -> None:
    maze = with_goal(TMaze(5, active=True), -1)
    assert play_actions(maze, [LEFT, RIGHT, LEFT, LEFT])[0] == [[0, -1], [0, 0], [0, 0], [0, 0]]


def test_arms_by_hand() -> None:
    maze = with_goal(TMaze(1, active=True), 1)
    moves = [RIGHT, UP, UP, DOWN]
    observations, rewards, done = play_actions(maze, moves)
    assert observations == [[1, 0], [1, 1], [1, 1], [1, 0]]
    assert rewards == [0, 0, 0, 0] and done == [False, False, False, True]  # it left the right arm too early


@both_forms
def test_any_length_by_argument(active: bool) -> None:
    env = make(f"TMaze{'Active' if active else 'Passive'}-10", corridor=70)
    env.reset(seed=0)
    steps = 0
    terminated = truncated = False
    while not (terminated or truncated):
        *_, terminated, truncated, _ = env.step(RIGHT)
        steps += 1
    assert steps == 70 + (3 if active else 1) and terminated and not truncated


def test_both_goals_come_up() -> None:
    env = gym.make("TMazePassive-10-v0")
    cues = [env.reset(seed=0)[0][1], *(env.reset()[0][1] for _ in range(199))]
    assert 70 < cues.count(1.0) < 130 and cues.count(1.0) + cues.count(-1.0) == 200


def test_corridors_that_do_not_exist() -> None:
    for corridor in (0, -3, 2.5):
        with pytest.raises(ValueError, match=f"expected a corridor of at least 1 whole step, got {corridor}"):
            TMaze(corridor)  # type: ignore[arg-type]
    for shortest in (0, 8, 2.5):
        with pytest.raises(ValueError, match=f"expected a shortest corridor from 1 to 7 whole steps, got {shortest}"):
            TMaze(7, shortest=shortest)  # type: ignore[arg-type]


@both_forms
def test_lengths_are_drawn_evenly_and_all_else_stays(active: bool) -> None:
    maze, lengths = TMaze(7, active, shortest=4), Counter[int]()
    for seed in range(400):
        maze.reset(seed=seed)
        lengths[maze.corridor] += 1
        fixed = with_goal(TMaze(maze.corridor, active), maze.goal)
        actions = best_actions(fixed, fixed.goal)
        found, expected = play_actions(maze, actions), play_actions(fixed, actions)
        assert found == expected and (found[1][-1], found[2][-1]) == (1.0, True)
    # 100 of each, but for chance: five deviations.
    assert set(lengths) == {4, 5, 6, 7} and max(abs(count - 100) for count in lengths.values()) < 45

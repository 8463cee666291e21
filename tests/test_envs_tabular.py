"""Exact scores of small games: by hand, by differences, and MiniGrid Memory as tables against MiniGrid itself."""

import numpy as np
import pytest

from rl_larnn.envs import make
from rl_larnn.envs.bounds.rollouts import Score
from rl_larnn.envs.bounds.tabular import LOST, WON, Game, _slope, best_table, random_score, table_score, visible_score

#: Two states that look the same; action 0 wins in the first and loses in the second, action 1 the other way round,
#: action 2 goes to a third state, which looks different and from which action 0 leads to the first.
TWINS = Game(
    after=np.array([[WON, LOST, 2], [LOST, WON, 2], [0, 2, 2]]),
    view=np.array([0, 0, 1]),
    start=np.array([0.5, 0.5, 0.0]),
    limit=10,
)


def linear_score(game: Game, chances: np.ndarray) -> float:
    """The score without a limit of steps, by adding up many steps."""
    share, score = game.start, 0.0
    for step in range(1, 3000):
        flow = share[:, None] * chances
        score += flow[game.after == WON].sum() * (1 - 0.9 * step / game.limit)
        on = game.after >= 0
        share = np.bincount(game.after[on], flow[on], minlength=len(share))
    return score


def test_scores_by_hand() -> None:
    assert table_score(TWINS, np.array([[1.0, 0, 0], [1, 0, 0]])) == pytest.approx(0.5 * 0.91)
    # Two steps by way of the third state, and then the first one, where action 0 would be right: but so it is at once.
    assert table_score(TWINS, np.array([[0, 0, 1.0], [0, 1, 0]])) == 0
    assert table_score(TWINS, np.array([[0.5, 0, 0.5], [1, 0, 0]])) == pytest.approx(
        0.25 * 0.91 + sum(0.5**k * 0.5 * (1 - 0.09 * (2 * k + 1)) for k in range(1, 5))
    )
    assert visible_score(TWINS) == pytest.approx(0.91)


def test_best_table_learns_to_go_where_the_views_are_no_longer_alike() -> None:
    """Leaving, coming back to the first state and then winning is worth more than a guess, if leaving is likely."""
    assert 0.5 * 0.91 < table_score(TWINS, best_table(TWINS, restarts=2, rounds=200)) < visible_score(TWINS)


def test_slope_is_that_of_differences() -> None:
    chances = np.array([[0.3, 0.3, 0.4], [0.3, 0.3, 0.4], [0.5, 0.2, 0.3]])
    slope = _slope(TWINS, chances)
    for place in np.ndindex(3, 3):
        nudge = np.zeros((3, 3))
        nudge[place] = 1e-6
        expected = (linear_score(TWINS, chances + nudge) - linear_score(TWINS, chances - nudge)) / 2e-6
        assert slope[place] == pytest.approx(expected, abs=1e-5)


def test_memory_as_tables_is_minigrid() -> None:
    """Random play in MiniGrid scores what the tables say, and the best table found scores there what was calculated."""
    pytest.importorskip("minigrid")
    from minigrid.core.constants import OBJECT_TO_IDX

    from rl_larnn.envs.bounds.minigrid_memory import KINDS, explore

    assert KINDS == tuple(OBJECT_TO_IDX[name] for name in ("unseen", "empty", "wall", "key", "ball"))
    game, views = explore(7)
    assert random_score(game) < 0.5 < visible_score(game) and game.start.sum() == pytest.approx(1)
    table, generator = best_table(game, restarts=1, rounds=100), np.random.default_rng(0)
    env, returns = make("MiniGridMemory-S7"), []
    for seed in range(80):
        observation, total, done = env.reset(seed=seed)[0], 0.0, False
        while not done:
            action = int(generator.choice(3, p=table[views[observation.tobytes()]]))
            observation, reward, terminated, truncated, _ = env.step(action)
            total, done = total + float(reward), terminated or truncated
        returns.append(total)
    score = Score.of(np.array(returns))
    assert abs(score.mean - table_score(game, table)) < 4 * score.standard_error

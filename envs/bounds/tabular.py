"""Exact scores of games with few states: random, best memoryless table, and best with everything visible.

A memoryless table holds the probabilities of the actions for each view. Its score and the gradient of the score follow
from linear equations. Gradient ascent finds a local optimum, so the floor is a lower bound, as with any search.

Letters: S states, A actions, V views. An episode that is won after n steps returns 1 - 0.9 n / limit, any other 0.
"""

from dataclasses import dataclass

import numpy as np

WON, LOST = -1, -2
_PENALTY = 0.9


@dataclass(frozen=True)
class Game:
    """A game as tables.

    :param after: (S, A) the state that an action leads to, or ``WON`` or ``LOST``
    :param view: (S,) the index of the observation in a state, 0 .. V - 1
    :param start: (S,) the probability that an episode starts in a state
    :param limit: steps after which an episode ends without a reward
    """

    after: np.ndarray
    view: np.ndarray
    start: np.ndarray
    limit: int


def table_score(game: Game, table: np.ndarray) -> float:
    """Return the exact mean return of a memoryless table (V, A) of probabilities."""
    chances, share, score = table[game.view], game.start, 0.0
    for step in range(1, game.limit + 1):
        flow = share[:, None] * chances
        score += flow[game.after == WON].sum() * (1 - _PENALTY * step / game.limit)
        goes_on = game.after >= 0
        share = np.bincount(game.after[goes_on], flow[goes_on], minlength=len(share))
    return float(score)


def random_score(game: Game) -> float:
    """Return the exact mean return of uniformly random actions."""
    views, actions = int(game.view.max()) + 1, game.after.shape[1]
    return table_score(game, np.full((views, actions), 1 / actions))


def visible_score(game: Game) -> float:
    """Return the mean return of the shortest ways to win, with everything visible."""
    steps = np.full(len(game.view), np.inf)
    for _ in range(game.limit):
        onwards = np.where(game.after == WON, 0.0, np.where(game.after >= 0, steps[game.after], np.inf))
        steps = 1 + onwards.min(1)
    started = game.start > 0
    return float(game.start[started] @ (1 - _PENALTY * steps[started] / game.limit))


def best_table(game: Game, restarts: int = 4, rounds: int = 400, rate: float = 0.1, seed: int = 0) -> np.ndarray:
    """Search the best memoryless table (V, A) by gradient ascent (Adam) on its logits, from random tables."""
    generator = np.random.default_rng(seed)
    shape = (int(game.view.max()) + 1, game.after.shape[1])
    tables = [_ascend(game, generator.standard_normal(shape), rounds, rate) for _ in range(restarts)]
    return max(tables, key=lambda table: table_score(game, table))


def _ascend(game: Game, logits: np.ndarray, rounds: int, rate: float) -> np.ndarray:
    first, second = np.zeros_like(logits), np.zeros_like(logits)
    for step in range(1, rounds + 1):
        table = _softmax(logits)
        slope = np.zeros_like(logits)
        np.add.at(slope, game.view, _slope(game, table[game.view]))
        slope = table * (slope - (table * slope).sum(1, keepdims=True))
        first, second = 0.9 * first + 0.1 * slope, 0.99 * second + 0.01 * slope**2
        logits = logits + rate * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.99**step)) + 1e-8)
        logits = np.clip(logits - logits.max(1, keepdims=True), -8, 0)
    return _softmax(logits)


def _softmax(logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits - logits.max(1, keepdims=True))
    return weights / weights.sum(1, keepdims=True)


def _slope(game: Game, chances: np.ndarray) -> np.ndarray:
    """Derivative (S, A) of the score, without a limit of steps, by the probabilities (S, A) of the actions.

    The score is start (w - c m), where w is the probability to win from a state and m the mean of the steps to a win
    (0 without one). Both solve linear equations in the matrix of moves; the derivative needs the transposed equations.
    """
    states, cost = len(game.view), _PENALTY / game.limit
    moves = np.zeros((states, states))
    goes_on, won = game.after >= 0, game.after == WON
    rows = np.repeat(np.arange(states), game.after.shape[1]).reshape(game.after.shape)
    np.add.at(moves, (rows[goes_on], game.after[goes_on]), chances[goes_on])
    left = np.linalg.inv(np.eye(states) - moves)
    win = left @ (chances * won).sum(1)
    mean_steps = left @ win
    visits = game.start @ left
    visits_twice = visits @ left
    win_after = np.where(won, 1.0, np.where(goes_on, win[game.after], 0.0))
    steps_after = np.where(goes_on, mean_steps[game.after], 0.0)
    return visits[:, None] * (win_after - cost * steps_after) - cost * visits_twice[:, None] * win_after

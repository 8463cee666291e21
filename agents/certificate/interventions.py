"""One agent with its memory changed. Each function makes one that predicts alike, except for what it remembers.

Time t counts the steps of an episode from 0. The *intact* memory before step t holds observations 0 .. t - 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from stable_baselines3.common.type_aliases import PolicyPredictor
from torch.utils._pytree import tree_flatten, tree_leaves, tree_map, tree_unflatten

from rl_larnn.agents.certificate.policies import Predictor

#: Copies of a memory that take turns in a :func:`rolling_window`; windows of up to so many observations are exact.
COPIES = 16


def repeat_rows(observation: Any, times: int) -> Any:
    """The batch of observations, as a whole, ``times`` times over: ``(B, ...)`` to ``(times * B, ...)``."""
    return tree_map(lambda part: np.concatenate([part] * times), observation)


@dataclass(frozen=True)
class StateRows:
    """How to reach the rows of a model's recurrent state: arrays, in any nesting of tuples and lists.

    :param axes: for each array of the state the axis that counts the environments
    """

    axes: tuple[int, ...]

    @classmethod
    def of(cls, model: PolicyPredictor, observation: Any) -> Self | None:
        """Found by trying: the axis that doubles when the batch does. None where a state cannot be read that way.

        :param observation: a batch of B observations
        """
        rows = len(tree_leaves(observation)[0])
        states = [
            model.predict(repeat_rows(observation, times), None, np.ones(times * rows, bool), True)[1]
            for times in (1, 2)
        ]
        one, two = ([np.shape(array) for array in tree_leaves(state)] for state in states)
        if not one or len(one) != len(two):
            return None
        axes = [
            [axis for axis, sizes in enumerate(zip(*shapes, strict=False)) if sizes == (rows, 2 * rows)]
            for shapes in zip(one, two, strict=True)
        ]
        return cls(tuple(found[0] for found in axes)) if all(len(found) == 1 for found in axes) else None

    def choose(self, mask: np.ndarray, first: Any, second: Any) -> Any:
        """The rows of ``first`` where ``mask`` (B,) is true, of ``second`` elsewhere."""

        def pick(axis: int, one: np.ndarray, two: np.ndarray) -> np.ndarray:
            return np.where(np.expand_dims(mask, [other for other in range(one.ndim) if other != axis]), one, two)

        return self._map(pick, first, second)

    def take(self, state: Any, rows: np.ndarray) -> Any:
        """The rows with these numbers, which may repeat."""
        return self._map(lambda axis, array: np.take(array, rows, axis), state)

    def flat(self, state: Any) -> np.ndarray:
        """One matrix (B, D), float32: all that each row holds."""
        first = [np.moveaxis(array, axis, 0) for axis, array in zip(self.axes, tree_leaves(state), strict=True)]
        return np.concatenate([array.reshape(len(array), -1) for array in first], axis=1).astype(np.float32)

    def _map(self, function: Callable[..., np.ndarray], *states: Any) -> Any:
        arrays, nesting = tree_flatten(states[0])
        others = [tree_leaves(state) for state in states[1:]]
        return tree_unflatten([function(*group) for group in zip(self.axes, arrays, *others, strict=True)], nesting)


def rolling_window(model: PolicyPredictor, size: int, copies: int) -> Predictor:
    """An agent that remembers the last ``size`` observations only, the present one among them.

    Several copies of the memory read the same episode. Copy c is reset at every t where t - c * spacing is a multiple
    of ``size``; the action is that of the copy that was reset longest ago. It has seen ``size - spacing + 1`` to
    ``size`` observations (all of them while t < size).

    :param model: an agent whose ``predict`` takes ``state`` and ``episode_start``
    :param size: observations; a multiple of ``copies``, such as those of :func:`window_size`
    """
    assert size % copies == 0
    spacing = size // copies

    def step(observation: Any, state: Any, starts: np.ndarray, deterministic: bool) -> tuple[np.ndarray, Any]:
        inner, time = (None, np.zeros(len(starts), int)) if state is None else (state[0], state[1] + 1)
        time = np.where(starts, 0, time)
        phases = np.arange(copies)[:, None] * spacing
        resets = (time == 0) | ((time - phases) % size == 0)  # (copies, B)
        actions, inner = model.predict(repeat_rows(observation, copies), inner, resets.reshape(-1), deterministic)
        oldest = (time // spacing + 1) % copies
        return actions.reshape(*resets.shape, *actions.shape[1:])[oldest, np.arange(len(starts))], (inner, time)

    return Predictor(step)


def window_size(size: int) -> tuple[int, int]:
    """The nearest size of a rolling window that its copies can share evenly, and their number.

    Windows are exact up to :data:`COPIES`; longer ones hold between 15/16 of their size and all of it.
    """
    spacing = -(-size // COPIES)
    return round(size / spacing) * spacing, round(size / spacing)


def reset_every(model: PolicyPredictor, steps: int) -> Predictor:
    """The agent whose memory is reset at every t that is a multiple of ``steps``: a window of one copy.

    It holds 1 to ``steps`` observations and so understates a memory: it is empty at some steps whatever the size.
    """
    return rolling_window(model, steps, 1)


def frozen_memory(model: PolicyPredictor) -> Predictor:
    """Remembers the first observation only: at every t > 0 it acts on the memory as it was after step 0.

    An agent that has to remember only how the episode began loses nothing.
    """

    def step(observation: Any, state: Any, starts: np.ndarray, deterministic: bool) -> tuple[np.ndarray, Any]:
        actions, after = model.predict(observation, state, starts, deterministic)
        return actions, after if state is None else state

    return Predictor(step)


def swapped_memory(model: PolicyPredictor, rows: StateRows, first: bool) -> Predictor:
    """Half of the rows act, at every t > 0, on the memory that another row, a donor, has before step t.

    The other half are the donors, which play with their own memory. So the memory fits the time, but not the episode.
    A donor whose episode is over keeps its last memory.

    :param first: whether the donors are the first half of the rows, else the second
    """

    def step(observation: Any, state: Any, starts: np.ndarray, deterministic: bool) -> tuple[np.ndarray, Any]:
        if state is None:
            actions, after = model.predict(observation, None, np.ones(len(starts), bool), deterministic)
            return actions, (after, np.zeros(len(starts), bool))
        memory, over = state
        over = over | starts
        half = len(starts) // 2
        donors = np.arange(len(starts)) % half + (0 if first else half)
        given = rows.take(memory, donors)
        actions, after = model.predict(observation, given, np.zeros(len(starts), bool), deterministic)
        return actions, (rows.choose(over, memory, after), over)

    return Predictor(step)

"""One agent with its memory changed. Each class predicts as the agent does, except for what it remembers.

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

#: Copies of a memory that take turns in a :class:`Window`; windows of up to so many observations are exact.
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


class Window(Predictor):
    """Remembers the last ``size`` observations only, the present one among them.

    Several copies of the memory read the same episode. Copy c is reset at every t where t - c * spacing is a multiple
    of ``size``; the action is that of the copy that was reset longest ago. It has seen ``size - spacing + 1`` to
    ``size`` observations (all of them while t < size). With one copy this is the plain reset every ``size`` steps,
    which leaves 1 to ``size`` observations and so understates a memory: it is empty at some steps whatever the size.

    :param model: an agent whose ``predict`` takes ``state`` and ``episode_start``
    :param size: observations; a multiple of ``copies``
    """

    def __init__(self, model: PolicyPredictor, size: int, copies: int) -> None:
        assert size % copies == 0
        self.model, self.size, self.copies, self.spacing = model, size, copies, size // copies

    def _predict(self, observation: Any, state: Any, starts: np.ndarray, deterministic: bool) -> tuple[Any, Any]:
        rows = len(starts)
        time = np.zeros(rows, int) if state is None else np.where(starts, 0, state[1] + 1)
        phases = np.arange(self.copies)[:, None] * self.spacing
        resets = (time == 0) | ((time - phases) % self.size == 0)  # (copies, B)
        shown, inner = repeat_rows(observation, self.copies), None if state is None else state[0]
        actions, inner = self.model.predict(shown, inner, resets.reshape(-1), deterministic)
        oldest = (time // self.spacing + 1) % self.copies
        actions = actions.reshape(self.copies, rows, *actions.shape[1:])[oldest, np.arange(rows)]
        return actions, (inner, time)


def rolling_window(model: PolicyPredictor, size: int) -> Window:
    """A window of ``size`` observations, exact up to :data:`COPIES`, else between 15/16 of ``size`` and ``size``.

    A size that the copies cannot share evenly is rounded to the nearest that they can.
    """
    spacing = -(-size // COPIES)
    return Window(model, round(size / spacing) * spacing, round(size / spacing))


def reset_every(model: PolicyPredictor, steps: int) -> Window:
    """The agent whose memory is reset at every t that is a multiple of ``steps``."""
    return Window(model, steps, 1)


class FrozenMemory(Predictor):
    """Remembers the first observation only: at every t > 0 it acts on the memory as it was after step 0.

    An agent that has to remember only how the episode began loses nothing.
    """

    def __init__(self, model: PolicyPredictor) -> None:
        self.model = model

    def _predict(self, observation: Any, state: Any, starts: np.ndarray, deterministic: bool) -> tuple[Any, Any]:
        actions, after = self.model.predict(observation, state, starts, deterministic)
        return actions, after if state is None else state


class SwappedMemory(Predictor):
    """Half of the rows act, at every t > 0, on the memory that another row, a donor, has before step t.

    The other half are the donors, which play with their own memory. So the memory fits the time, but not the episode.
    A donor whose episode is over keeps its last memory.

    :param first: whether the donors are the first half of the rows, else the second
    """

    def __init__(self, model: PolicyPredictor, rows: StateRows, first: bool) -> None:
        self.model, self.rows, self.first = model, rows, first

    def _predict(self, observation: Any, state: Any, starts: np.ndarray, deterministic: bool) -> tuple[Any, Any]:
        rows = np.arange(len(starts))
        if state is None:
            actions, after = self.model.predict(observation, None, np.ones(len(rows), bool), deterministic)
            return actions, (after, np.zeros(len(rows), bool))
        memory, over = state
        over = over | starts
        half = len(rows) // 2
        donors = rows % half + (0 if self.first else half)
        given = self.rows.take(memory, donors)
        actions, after = self.model.predict(observation, given, np.zeros(len(rows), bool), deterministic)
        return actions, (self.rows.choose(over, memory, after), over)

    def receivers(self, n_envs: int, episodes: int) -> np.ndarray:
        """Which of the episodes (E,) were played with another's memory, as a mask."""
        return (np.arange(episodes) % n_envs >= n_envs // 2) == self.first

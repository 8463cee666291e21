"""One agent with its memory changed. Each class predicts as the agent does, except for what it remembers.

Time t counts the steps of an episode from 0. The *intact* memory before step t holds observations 0 .. t - 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from stable_baselines3.common.type_aliases import PolicyPredictor

from rl_larnn.agents.certificate.policies import Predictor

#: Copies of a memory that take turns in a :class:`Window`; windows of up to so many observations are exact.
COPIES = 16


def repeat_rows(observation: Any, times: int) -> Any:
    """The batch of observations, as a whole, ``times`` times over: ``(B, ...)`` to ``(times * B, ...)``."""
    if isinstance(observation, dict):
        return {key: repeat_rows(part, times) for key, part in observation.items()}
    return np.concatenate([np.asarray(observation)] * times)


@dataclass(frozen=True)
class StateRows:
    """How to reach the rows of a model's recurrent state.

    :param axes: for each array of the state the axis that counts the environments
    """

    axes: tuple[int, ...]

    @classmethod
    def of(cls, model: PolicyPredictor, observation: Any) -> Self | None:
        """Found by trying: the axis that doubles when the batch does. None where a state cannot be read that way.

        :param observation: a batch of B observations
        """
        rows = len(next(iter(observation.values())) if isinstance(observation, dict) else observation)
        states = [
            model.predict(repeat_rows(observation, times), None, np.ones(times * rows, bool), True)[1]
            for times in (1, 2)
        ]
        try:
            pairs = list(zip(_arrays(states[0]), _arrays(states[1]), strict=True))
        except (TypeError, ValueError):
            return None
        axes = [
            [axis for axis, sizes in enumerate(zip(one.shape, two.shape, strict=False)) if sizes == (rows, 2 * rows)]
            for one, two in pairs
        ]
        return cls(tuple(found[0] for found in axes)) if axes and all(len(found) == 1 for found in axes) else None

    def choose(self, mask: np.ndarray, first: Any, second: Any) -> Any:
        """The rows of ``first`` where ``mask`` (B,) is true, of ``second`` elsewhere."""

        def pick(one: np.ndarray, two: np.ndarray, axis: int) -> np.ndarray:
            return np.where(mask.reshape([-1 if place == axis else 1 for place in range(one.ndim)]), one, two)

        return self._map(pick, first, second)

    def take(self, state: Any, rows: np.ndarray) -> Any:
        """The rows with these numbers, which may repeat."""
        return self._map(lambda array, _, axis: np.take(array, rows, axis), state, state)

    def flat(self, state: Any) -> np.ndarray:
        """One matrix (B, D), float32: all that each row holds."""
        parts = [
            np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1)
            for array, axis in zip(_arrays(state), self.axes, strict=True)
        ]
        return np.concatenate(parts, axis=1).astype(np.float32)

    def _map(self, function: Callable[..., np.ndarray], state: Any, other: Any) -> Any:
        groups = zip(_arrays(state), _arrays(other), self.axes, strict=True)
        return _replaced(state, [function(*group) for group in groups])


def _arrays(state: Any) -> list[np.ndarray]:
    """The arrays of a state, which may be one or any nesting of tuples and lists of them.

    :raises TypeError: for anything else
    """
    if isinstance(state, np.ndarray):
        return [state]
    if isinstance(state, tuple | list):
        return [array for part in state for array in _arrays(part)]
    raise TypeError(f"expected a state of arrays, got {type(state).__name__}")


def _replaced(state: Any, replacements: Sequence[np.ndarray]) -> Any:
    """A state of the same nesting, made of other arrays."""
    left = iter(replacements)

    def build(part: Any) -> Any:
        if isinstance(part, np.ndarray):
            return next(left)
        parts = [build(item) for item in part]
        return type(part)(*parts) if hasattr(part, "_fields") else type(part)(parts)

    return build(state)


class WindowState(NamedTuple):
    """What a :class:`Window` carries: the states of all copies (copy after copy), and t of each row ``(B,)``."""

    inner: Any
    time: np.ndarray


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
        time = np.zeros(rows, int) if state is None else np.where(starts, 0, state.time + 1)
        phases = np.arange(self.copies)[:, None] * self.spacing
        resets = (time == 0) | ((time - phases) % self.size == 0)  # (copies, B)
        shown, inner = repeat_rows(observation, self.copies), None if state is None else state.inner
        actions, inner = self.model.predict(shown, inner, resets.reshape(-1), deterministic)
        oldest = (time // self.spacing + 1) % self.copies
        actions = actions.reshape(self.copies, rows, *actions.shape[1:])[oldest, np.arange(rows)]
        return actions, WindowState(inner, time)


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

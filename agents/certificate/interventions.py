"""The rows of a recurrent state of any model: which axis of each array counts the environments.

One agent, with its memory tampered with. Each class predicts as the agent does, except for what it remembers.

Time t counts the steps of an episode from 0. The *intact* memory before step t holds observations 0 .. t - 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from stable_baselines3.common.type_aliases import PolicyPredictor


def repeat_rows(observation: Any, times: int) -> Any:
    """The batch of observations, as a whole, ``times`` times over: ``(B, ...)`` to ``(times * B, ...)``."""
    if isinstance(observation, dict):
        return {key: repeat_rows(part, times) for key, part in observation.items()}
    return np.concatenate([np.asarray(observation)] * times)


def arrays(state: Any) -> list[np.ndarray]:
    """The arrays of a state, which may be one or any nesting of tuples and lists of them.

    :raises TypeError: for anything else
    """
    if isinstance(state, np.ndarray):
        return [state]
    if isinstance(state, tuple | list):
        return [array for part in state for array in arrays(part)]
    raise TypeError(f"expected a state of arrays, got {type(state).__name__}")


def _rebuilt(state: Any, replacements: Sequence[np.ndarray]) -> Any:
    left = list(replacements)

    def build(part: Any) -> Any:
        if isinstance(part, np.ndarray):
            return left.pop(0)
        parts = [build(item) for item in part]
        return type(part)(*parts) if hasattr(part, "_fields") else type(part)(parts)

    return build(state)


@dataclass(frozen=True)
class StateRows:
    """How to reach the rows of a model's state.

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
            pairs = list(zip(arrays(states[0]), arrays(states[1]), strict=True))
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
            for array, axis in zip(arrays(state), self.axes, strict=True)
        ]
        return np.concatenate(parts, axis=1).astype(np.float32)

    def _map(self, function: Callable[..., np.ndarray], state: Any, other: Any) -> Any:
        return _rebuilt(
            state, [function(*group) for group in zip(arrays(state), arrays(other), self.axes, strict=True)]
        )


#: Copies of a memory that take turns in a :class:`Window`; windows of up to so many observations are exact.
COPIES = 16


class WindowState(NamedTuple):
    """What a :class:`Window` carries: the states of all copies (copy after copy), and t of each row ``(B,)``."""

    inner: Any
    time: np.ndarray


class Window:
    """Remembers the last ``size`` observations only, the present one among them.

    Several copies of the memory read the same episode. Copy c is wiped at every t where t - c * spacing is a multiple
    of ``size``; the action is that of the copy that was wiped longest ago. It has seen ``size - spacing + 1`` to
    ``size`` observations (all of them while t < size). With one copy this is the plain reset every ``size`` steps,
    which leaves 1 to ``size`` observations and so understates a memory: it is empty at some steps whatever the size.

    :param model: an agent whose ``predict`` takes ``state`` and ``episode_start``
    :param size: observations; a multiple of ``copies``
    """

    def __init__(self, model: PolicyPredictor, size: int, copies: int) -> None:
        assert size % copies == 0
        self.model, self.size, self.copies, self.spacing = model, size, copies, size // copies

    def predict(
        self, observation: Any, state: Any = None, episode_start: np.ndarray | None = None, deterministic: bool = False
    ) -> tuple[np.ndarray, Any]:
        """See :meth:`stable_baselines3.common.base_class.BaseAlgorithm.predict`."""
        assert episode_start is not None
        rows = len(episode_start)
        time = np.zeros(rows, int) if state is None else np.where(episode_start, 0, state.time + 1)
        phases = np.arange(self.copies)[:, None] * self.spacing
        starts = (time == 0) | ((time - phases) % self.size == 0)  # (copies, B)
        actions, inner = self.model.predict(
            repeat_rows(observation, self.copies),
            None if state is None else state.inner,
            starts.reshape(-1),
            deterministic,
        )
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
    """The agent whose memory is wiped at every t that is a multiple of ``steps``."""
    return Window(model, steps, 1)


class Frozen:
    """Remembers the first observation for ever: at every t > 0 it acts on the memory as it was after step 0.

    Whoever has to remember only how the episode began loses nothing.
    """

    def __init__(self, model: PolicyPredictor) -> None:
        self.model = model

    def predict(
        self, observation: Any, state: Any = None, episode_start: np.ndarray | None = None, deterministic: bool = False
    ) -> tuple[np.ndarray, Any]:
        """See :meth:`stable_baselines3.common.base_class.BaseAlgorithm.predict`."""
        assert episode_start is not None
        actions, after = self.model.predict(observation, state, episode_start, deterministic)
        return actions, after if state is None else state


class Swapped:
    """Half of the rows act, at every t > 0, on the memory that an intact episode beside them has before step t.

    The other half are those donors, and play as ever. So memory tells the time, and is as full as ever, but of another
    episode. A donor that is over keeps its last memory.

    :param first: whether the donors are the first half of the rows, else the second
    """

    def __init__(self, model: PolicyPredictor, rows: StateRows, first: bool) -> None:
        self.model, self.rows, self.first = model, rows, first

    def predict(
        self, observation: Any, state: Any = None, episode_start: np.ndarray | None = None, deterministic: bool = False
    ) -> tuple[np.ndarray, Any]:
        """See :meth:`stable_baselines3.common.base_class.BaseAlgorithm.predict`."""
        assert episode_start is not None
        rows = np.arange(len(episode_start))
        if state is None:
            actions, after = self.model.predict(observation, None, np.ones_like(episode_start, bool), deterministic)
            return actions, (after, np.zeros(len(rows), bool))
        memory, over = state
        over = over | episode_start
        half = len(rows) // 2
        donors = rows % half + (0 if self.first else half)
        given = self.rows.take(memory, donors)
        actions, after = self.model.predict(observation, given, np.zeros(len(rows), bool), deterministic)
        return actions, (self.rows.choose(over, memory, after), over)

    def victims(self, returns: np.ndarray, n_envs: int) -> tuple[np.ndarray, np.ndarray]:
        """Of the returns (E,) of all rows those with another's memory, and at which places they stand."""
        half = n_envs // 2
        places = np.arange(len(returns))
        theirs = (places % n_envs >= half) == self.first
        return returns[theirs], places[theirs]

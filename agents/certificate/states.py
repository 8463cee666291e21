"""The rows of a recurrent state of any model: which axis of each array counts the environments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

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

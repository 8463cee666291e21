"""An episode is the unit in which experience is stored.

Letters: T steps of an episode, E episodes, N steps of all episodes together.
"""

from dataclasses import dataclass

import numpy as np

from rl_larnn.envs.datasets.errors import DatasetError

#: Learners use float32.
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, eq=False)
class Episode:
    """One episode of T steps, from a reset to its end.

    There are as many observations as actions, because D4RL's files may lack the observation after the last action.

    :param observations: (T, ...) before each action
    :param actions: (T, ...)
    :param rewards: (T,) converted to float64, so that returns do not depend on the dtype of the file
    :param terminated: the task ended the episode
    :param truncated: the episode was cut off, for example by a time limit; if both are false, the reason is unknown
    :param final_observation: (...) after the last action, or None where it is unknown
    :raises DatasetError: lengths that do not agree, no numbers, NaN or infinity; with the key and the shape
    """

    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    terminated: bool
    truncated: bool
    final_observation: np.ndarray | None = None

    def __post_init__(self) -> None:
        for key in ("observations", "actions", "rewards"):
            object.__setattr__(self, key, as_numbers(getattr(self, key), key))
        object.__setattr__(self, "rewards", self.rewards.astype(np.float64, copy=False))
        object.__setattr__(self, "terminated", bool(self.terminated))
        object.__setattr__(self, "truncated", bool(self.truncated))
        self._check_lengths()
        for key in ("observations", "actions", "rewards"):
            check_finite(getattr(self, key), key)
        if self.final_observation is not None:
            self._check_final()

    def __len__(self) -> int:
        return len(self.rewards)

    @property
    def total_reward(self) -> float:
        """The undiscounted return of the episode."""
        return float(self.rewards.sum())

    def _check_lengths(self) -> None:
        if self.rewards.ndim != 1 or len(self.rewards) == 0:
            raise DatasetError(f"rewards: expected shape (T,) with at least one step, got {self.rewards.shape}")
        for key in ("observations", "actions"):
            shape, steps = getattr(self, key).shape, len(self)
            if not shape or shape[0] != steps:
                raise DatasetError(f"{key}: expected shape ({steps}, ...), one row for each reward, got {shape}")

    def _check_final(self) -> None:
        final = as_numbers(self.final_observation, "final_observation").astype(self.observations.dtype, copy=False)
        if final.shape != self.observations.shape[1:]:
            raise DatasetError(
                f"final_observation: expected shape {self.observations.shape[1:]} like the others, got {final.shape}"
            )
        check_finite(final[None], "final_observation")
        object.__setattr__(self, "final_observation", final)


def as_numbers(values: object, key: str) -> np.ndarray:
    """Convert values to an array of numbers or truth values.

    :raises DatasetError: they are something else
    """
    try:
        array = np.asarray(values)
    except ValueError:
        raise DatasetError(f"{key}: expected an array of numbers, got rows of different lengths") from None
    if array.dtype.kind not in "biuf":
        raise DatasetError(f"{key}: expected numbers, got dtype {array.dtype} of shape {array.shape}")
    return array


def check_finite(array: np.ndarray, key: str) -> None:
    """Check that numbers are finite, also in float32.

    :raises DatasetError: they are not; with the first step
    """
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        bad = np.flatnonzero(~np.isfinite(array.reshape(len(array), -1)).all(1))
        raise DatasetError(f"{key}: expected finite numbers, got NaN or infinity at step {bad[0]} of {array.shape}")
    if array.dtype == np.float64 and array.size and (largest := np.abs(array).max()) > _LARGEST:
        raise DatasetError(f"{key}: expected numbers that 32 bits can hold, up to {_LARGEST:.1e}, got {largest:.1e}")

"""An episode: the unit in which experience is stored. Everything else, windows too, is a view of episodes.

Letters: T steps of an episode, E episodes, N steps of all episodes together.
"""

from dataclasses import dataclass

import numpy as np

from rl_larnn.envs.datasets.errors import DatasetError

#: Learners calculate with 32 bits.
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, eq=False)
class Episode:
    """One episode of T steps, from a reset to its end.

    There are as many observations as actions, each the one that the action answered, because D4RL's files hold no
    more for certain. What came after the last action is kept apart, where it is known.

    :param observations: (T, ...) before each action
    :param actions: (T, ...)
    :param rewards: (T,) float64, whatever they came as: D4RL's are float32, and a sum of them should not depend on that
    :param terminated: the task ended it: nothing would have followed
    :param truncated: it was cut off, by a time limit for example. With neither, nobody knows why it ended
    :param final_observation: (...) after the last action, or None
    :raises DatasetError: lengths that don't agree, something else than numbers, NaN or infinity; with the key and shape
    """

    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    terminated: bool
    truncated: bool
    final_observation: np.ndarray | None = None

    def __post_init__(self) -> None:
        for key in ("observations", "actions", "rewards"):
            object.__setattr__(self, key, numbers(getattr(self, key), key))
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
        final = numbers(self.final_observation, "final_observation").astype(self.observations.dtype, copy=False)
        if final.shape != self.observations.shape[1:]:
            raise DatasetError(
                f"final_observation: expected shape {self.observations.shape[1:]} like the others, got {final.shape}"
            )
        check_finite(final[None], "final_observation")
        object.__setattr__(self, "final_observation", final)


def numbers(values: object, key: str) -> np.ndarray:
    """Values as an array of numbers or truth values.

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
    """Looks for NaN and infinity, and for what becomes infinite in 32 bits.

    :raises DatasetError: there is one, with the first step at which it is found
    """
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        bad = np.flatnonzero(~np.isfinite(array.reshape(len(array), -1)).all(1))
        raise DatasetError(f"{key}: expected finite numbers, got NaN or infinity at step {bad[0]} of {array.shape}")
    if array.dtype == np.float64 and array.size and (largest := np.abs(array).max()) > _LARGEST:
        raise DatasetError(f"{key}: expected numbers that 32 bits can hold, up to {_LARGEST:.1e}, got {largest:.1e}")

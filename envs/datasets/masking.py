"""Masked datasets: the behaviour sees the whole state, and a part of it is hidden from the learner."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from rl_larnn.envs.datasets.episode import Episode
from rl_larnn.envs.ids import find_task, make
from rl_larnn.envs.wrappers.corruption import MaskObservation


@dataclass(frozen=True, eq=False)
class Mask:
    """The difference between a masked task and the environment with everything visible.

    :param plain_id: id of the environment with everything visible
    :param visible: (m,) indices of the visible ones of its n numbers, in order
    :param hidden: indices of the hidden ones
    :param observation_space: space of the masked task
    """

    plain_id: str
    visible: np.ndarray
    hidden: tuple[int, ...]
    observation_space: spaces.Box

    def shown(self, observations: np.ndarray) -> np.ndarray:
        """Select the visible numbers: from (..., n) to (..., m), float32."""
        return observations[..., self.visible].astype(np.float32)

    def apply(self, episode: Episode) -> Episode:
        """Mask the observations of an episode."""
        final = episode.final_observation
        return replace(
            episode,
            observations=self.shown(episode.observations),
            final_observation=None if final is None else self.shown(final),
        )

    def wrap(self, env: gym.Env) -> gym.Env:
        """Mask the observations of an environment."""
        return MaskObservation(env, self.hidden)


def mask_of(env_id: str, env_kwargs: Mapping[str, Any] | None = None) -> Mask | None:
    """Return the mask of a task of ours, or None if the task is more than a Gymnasium environment with hidden values.

    :param env_id: any form that ``make`` takes
    :param env_kwargs: arguments of the environment
    """
    task = find_task(env_id)
    if task is None or ":" in task.base or not task.wrappers:
        return None
    env = made = make(task.id, **(env_kwargs or {}))
    masks: list[MaskObservation] = []
    # The wrappers of a task are its outermost ones.
    for _ in task.wrappers:
        if not isinstance(env, MaskObservation):
            return None
        masks.append(env)
        env = env.env
    assert isinstance(env.observation_space, spaces.Box) and isinstance(made.observation_space, spaces.Box)
    size = env.observation_space.shape[0]
    visible = np.arange(size)
    for mask in reversed(masks):
        # Given indices instead of values, the mask returns the indices that it leaves.
        visible = visible[mask.observation(np.arange(len(visible))).astype(int)]
    made.close()
    hidden = tuple(sorted(set(range(size)) - set(visible.tolist())))
    return Mask(task.base, visible, hidden, made.observation_space)

"""Masked twins: the same episodes as a learner sees them from whom a part of the state is hidden.

The behaviour saw everything, so what it did can only be understood by one who infers what is hidden.
"""

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
    """How a masked task follows from the task with everything visible.

    :param plain_id: the environment with everything visible
    :param visible: (m,) which of its n numbers are shown, in order
    :param hidden: the others
    :param observation_space: of the masked task
    """

    plain_id: str
    visible: np.ndarray
    hidden: tuple[int, ...]
    observation_space: spaces.Box

    def shown(self, observations: np.ndarray) -> np.ndarray:
        """What the masked task shows: from (..., n) to (..., m), float32."""
        return observations[..., self.visible].astype(np.float32)

    def twin(self, episode: Episode) -> Episode:
        """The episode, seen through the mask."""
        final = episode.final_observation
        return replace(
            episode,
            observations=self.shown(episode.observations),
            final_observation=None if final is None else self.shown(final),
        )

    def wrap(self, env: gym.Env) -> gym.Env:
        """The plain environment, seen through the mask."""
        return MaskObservation(env, self.hidden)


def mask_of(env_id: str, env_kwargs: Mapping[str, Any] | None = None) -> Mask | None:
    """The mask of a task of ours that is a Gymnasium environment with values removed, and nothing else; or None.

    :param env_id: any form that ``make`` takes
    :param env_kwargs: what the environment is made with
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
        # Shown numbers instead of values, it says which it leaves.
        visible = visible[mask.observation(np.arange(len(visible))).astype(int)]
    made.close()
    hidden = tuple(sorted(set(range(size)) - set(visible.tolist())))
    return Mask(task.base, visible, hidden, made.observation_space)

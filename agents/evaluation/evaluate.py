"""Evaluation: undiscounted returns of whole, fresh episodes, with the memory of the agent or without."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.type_aliases import PolicyPredictor
from stable_baselines3.common.vec_env import VecEnv

from rl_larnn.envs import find_task
from rl_larnn.errors import UserError


@dataclass(frozen=True)
class Evaluation:
    """Episodes of one agent.

    :param returns: undiscounted, unscaled return of each episode
    :param lengths: steps of each episode
    """

    returns: tuple[float, ...]
    lengths: tuple[int, ...]

    @property
    def mean(self) -> float:
        """Mean return."""
        return float(np.mean(self.returns))

    @property
    def std(self) -> float:
        """Standard deviation of the return over episodes (not an error of the mean)."""
        return float(np.std(self.returns))

    @property
    def worst(self) -> float:
        """Lowest return."""
        return min(self.returns)


def evaluate(
    model: PolicyPredictor, env: VecEnv | Callable[[], VecEnv], n_episodes: int = 100, deterministic: bool = True
) -> Evaluation:
    """Run whole episodes. The memory is carried through each and reset between them.

    :param model: an agent, or anything that predicts like one
    :param env: vectorised environments, monitored, with any normalisation fixed; or a function that makes them, in
        which case they are closed afterwards
    :param deterministic: take the most likely action; else sample
    :raises UserError: if ``n_episodes`` is not positive
    """
    if n_episodes < 1:
        raise UserError(f"expected at least 1 episode, got {n_episodes}")
    if not isinstance(env, VecEnv):
        opened = env()
        try:
            return evaluate(model, opened, n_episodes, deterministic)
        finally:
            opened.close()
    # Stable-Baselines3 assigns episodes to the environments beforehand, so short ones are not over-represented.
    returns, lengths = evaluate_policy(
        model, env, n_eval_episodes=n_episodes, deterministic=deterministic, return_episode_rewards=True
    )
    return Evaluation(tuple(float(value) for value in returns), tuple(int(value) for value in lengths))  # type: ignore[union-attr]


class ResetEveryStep:
    """An agent with its memory reset before every step: what it does without remembering.

    :param model: an agent whose ``predict`` takes ``state`` and ``episode_start``
    """

    def __init__(self, model: PolicyPredictor) -> None:
        self.model = model

    def predict(
        self, observation: Any, state: Any = None, episode_start: np.ndarray | None = None, deterministic: bool = False
    ) -> tuple[np.ndarray, Any]:
        """See :meth:`stable_baselines3.common.base_class.BaseAlgorithm.predict`; every step opens an episode."""
        assert episode_start is not None
        return self.model.predict(observation, None, np.ones_like(episode_start, dtype=bool), deterministic)


def reference_rows(env_id: str, threshold: float | None) -> list[tuple[str, str]]:
    """Label and value of each reference score of a task; none where nothing is known.

    :param threshold: mean return that counts as solved
    """
    rows = [] if threshold is None else [("solved from", threshold)]
    if (task := find_task(env_id)) is not None:
        bounds = (task.random, task.floor, task.ceiling)
        labels = ("random actions", "floor (best without memory)", "ceiling (everything visible)")
        rows = [(label, bound.value) for label, bound in zip(labels, bounds, strict=True)] + rows
    return [(label, f"{value:g}") for label, value in rows]

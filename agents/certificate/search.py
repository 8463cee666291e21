"""The cross-entropy search of :mod:`rl_larnn.envs.bounds.floor`, on the very observations of an agent.

Letters: P policies, D parameters of one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv

from rl_larnn.agents.certificate.contenders import FramePolicy
from rl_larnn.agents.certificate.episodes import play
from rl_larnn.agents.certificate.inputs import Frames, flat_width
from rl_larnn.envs.bounds.memoryless import FAMILIES, Family

#: Policies of a generation, how many of them shape the next, episodes on which each is judged.
POPULATION, ELITE, EPISODES = 32, 6, 2

#: Wider observations have too many parameters for a search without gradients.
WIDEST = 40


class Population:
    """Policies (P, D) of one family; row r of every batch is acted on by policy r, or by the only one there is."""

    def __init__(self, family: Family, parameters: np.ndarray, space: spaces.Space, seed: int) -> None:
        self.family, self.parameters, self.space = family, parameters, space
        self.generator = np.random.default_rng(seed)

    def act(self, inputs: np.ndarray, deterministic: bool) -> np.ndarray:
        """See :class:`rl_larnn.agents.certificate.contenders.Reader`; ``deterministic`` is the family's."""
        parameters = np.broadcast_to(self.parameters, (len(inputs), self.parameters.shape[-1]))
        return self.family.actions(parameters, inputs[:, None], self.space, self.generator)[:, 0]


def searchable(env: VecEnv) -> bool:
    """Whether the search knows the actions, and the observation is small enough."""
    known = isinstance(env.action_space, spaces.Discrete | spaces.Box)
    return known and flat_width(env.observation_space) <= WIDEST


def search(env: VecEnv, name: str, steps: int, seed: int) -> list[FramePolicy]:
    """The finalists of one search: the mean of the last generation and the best of all that were tried.

    :param name: of a family of :data:`rl_larnn.envs.bounds.memoryless.FAMILIES`
    :param steps: environment steps after which no further generation begins
    """
    family, frames = FAMILIES[name], Frames(env.observation_space, 1)
    generator = np.random.default_rng(seed)
    size = family.size(flat_width(env.observation_space), env.action_space)
    mean, spread = np.zeros(size), np.full(size, 2.0)
    best, best_score, taken = mean, -np.inf, 0

    def policy(parameters: np.ndarray) -> FramePolicy:
        return FramePolicy(Population(family, parameters, env.action_space, seed), frames, sampled=False)

    while taken < steps:
        policies = mean + spread * generator.standard_normal((POPULATION, size))
        scores, used = _judged(env, policies, policy, int(generator.integers(2**31 - 10**6)))
        taken += used
        elite = np.argsort(-scores)[:ELITE]
        if scores[elite[0]] > best_score:
            best, best_score = policies[elite[0]], scores[elite[0]]
        # A little spread is kept, or the search freezes on a lucky generation.
        mean, spread = policies[elite].mean(0), policies[elite].std(0) + 0.02
    return [policy(mean[None]), policy(best[None])]


def _judged(env: VecEnv, policies: np.ndarray, policy: Any, seed: int) -> tuple[np.ndarray, int]:
    """The mean return (P,) of each policy, and the environment steps that it took to know."""
    rows = np.repeat(policies, EPISODES, axis=0)
    short = -len(rows) % env.num_envs
    rows = (
        np.concatenate([rows, rows[:short]]) if short <= len(rows) else np.resize(rows, (env.num_envs, rows.shape[1]))
    )
    returns, taken = [], 0
    for first in range(0, len(rows), env.num_envs):
        played = play(policy(rows[first : first + env.num_envs]), env, env.num_envs, seed + first)
        returns.append(played.returns)
        taken += played.steps * env.num_envs
    return np.concatenate(returns)[: len(policies) * EPISODES].reshape(-1, EPISODES).mean(1), taken

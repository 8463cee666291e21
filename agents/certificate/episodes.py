"""Whole episodes on known seeds, so that two agents, or two states of one agent, meet the same beginnings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.type_aliases import PolicyPredictor
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper, VecNormalize

from rl_larnn.errors import UserError

#: Steps after which an episode counts as endless.
ENDLESS = 200_000


@dataclass(frozen=True)
class Played:
    """Episodes of one agent.

    :param returns: ``(E,)`` undiscounted, unscaled
    :param lengths: ``(E,)`` in steps
    :param steps: steps that the environments took side by side until the last episode of each batch was over
    """

    returns: np.ndarray
    lengths: np.ndarray
    steps: int


def play(agent: PolicyPredictor, env: VecEnv, episodes: int, seed: int, deterministic: bool = True) -> Played:
    """Play the episodes with seeds ``seed .. seed + episodes - 1``, each environment one of them at a time.

    A VecEnv seeds its environments with consecutive numbers. Environments are seeded anew before every episode, since
    how many random numbers an episode uses depends on the agent: what comes after it would be no common ground.

    :param episodes: a multiple of the number of environments
    """
    assert episodes % env.num_envs == 0
    monitored = all(env.env_is_wrapped(Monitor))
    batches = [
        _play_batch(agent, env, seed + first, deterministic, monitored) for first in range(0, episodes, env.num_envs)
    ]
    returns, lengths = (np.concatenate([getattr(batch, name) for batch in batches]) for name in ("returns", "lengths"))
    return Played(returns, lengths, sum(batch.steps for batch in batches))


def _play_batch(agent: PolicyPredictor, env: VecEnv, seed: int, deterministic: bool, monitored: bool) -> Played:
    env.seed(seed)
    observation: Any = env.reset()
    returns, lengths = np.zeros(env.num_envs), np.zeros(env.num_envs, int)
    running, state, starts = np.ones(env.num_envs, bool), None, np.ones(env.num_envs, bool)
    for step in range(1, ENDLESS + 1):
        actions, state = agent.predict(observation, state, starts, deterministic)
        observation, rewards, starts, infos = env.step(actions)
        returns, lengths = returns + running * rewards, lengths + running
        for index in np.flatnonzero(running & starts):
            # A wrapper may have changed the rewards, or ended an episode (a lost life) that goes on.
            if not monitored or "episode" in infos[index]:
                running[index] = False
                returns[index] = infos[index]["episode"]["r"] if monitored else returns[index]
        if not running.any():
            return Played(returns, lengths, step)
    raise UserError(f"expected episodes that end, got one of more than {ENDLESS} steps; give it a time limit")


@contextmanager
def frozen(env: VecEnv) -> Iterator[VecEnv]:
    """Hold every normalisation around the environments still, rewards unscaled; afterwards it is as before."""
    layers: list[VecNormalize] = []
    layer = env
    while isinstance(layer, VecEnvWrapper):
        layers += [layer] if isinstance(layer, VecNormalize) else []
        layer = layer.venv
    before = [(item.training, item.norm_reward) for item in layers]
    for item in layers:
        item.training = item.norm_reward = False
    try:
        yield env
    finally:
        for item, (training, norm_reward) in zip(layers, before, strict=True):
            item.training, item.norm_reward = training, norm_reward

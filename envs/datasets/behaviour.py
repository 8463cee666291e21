"""Behaviours collect data: a policy, and the wrappers through which it sees the environment."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np

Policy = Callable[[Any, Any, np.ndarray], tuple[np.ndarray, Any]]
"""Called like Stable-Baselines3's ``predict``: with observations of B environments, the state after the last step (None
at first) and episode starts (B,) bool. Returns actions (B, ...) and the next state."""


def no_wrapper(env: gym.Env) -> gym.Env:
    """Return the environment itself."""
    return env


@dataclass(frozen=True)
class Behaviour:
    """A policy that collects data.

    :param policy: chooses the actions
    :param wrap: adds the wrappers that the policy needs to the environment
    :param record: plain data that describes the behaviour, for the metadata of the dataset
    """

    policy: Policy
    wrap: Callable[[gym.Env], gym.Env] = no_wrapper
    record: Mapping[str, Any] = field(default_factory=dict)


def random_behaviour(action_space: gym.Space, seed: int = 0) -> Behaviour:
    """Return the behaviour of uniformly random actions."""
    action_space.seed(seed)

    def act(observations: Any, state: Any, starts: np.ndarray) -> tuple[np.ndarray, Any]:
        return np.stack([action_space.sample() for _ in starts]), None

    return Behaviour(act, record={"policy": "random", "seed": seed})


def mixed_behaviour(good: Behaviour, action_space: gym.Space, quality: float, seed: int = 0) -> Behaviour:
    """Return a behaviour that acts like ``good`` in some episodes and at random in the others.

    :param good: the behaviour of the good episodes
    :param action_space: where random actions are drawn
    :param quality: probability that an episode is a good one, from 0 to 1
    :param seed: seed of the random actions and of the mixture
    :raises ValueError: the probability is outside 0 to 1
    """
    if not 0 <= quality <= 1:
        raise ValueError(f"expected a quality, the share of good episodes, from 0 to 1, got {quality}")
    # The generators of the actions and of the mixture must not draw the same numbers.
    random, generator = random_behaviour(action_space, seed), np.random.default_rng((seed, 1))

    def act(observations: Any, state: Any, starts: np.ndarray) -> tuple[np.ndarray, Any]:
        before, is_good = (None, np.zeros(len(starts), bool)) if state is None else state
        is_good = np.where(starts, generator.random(len(starts)) < quality, is_good)
        best, after = good.policy(observations, before, starts)
        other, _ = random.policy(observations, None, starts)
        chosen = np.where(is_good.reshape(-1, *[1] * (best.ndim - 1)), best, other)
        return chosen, (after, is_good)

    return Behaviour(act, good.wrap, {"policy": "mixed", "quality": quality, "good": dict(good.record), "seed": seed})

"""Small agents on random environments, for the tests of RecurrentPPO."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.vec_env import DummyVecEnv

from rl_larnn.agents import RecurrentPPO
from tests.toy_envs import RandomSpaces

VECTOR = spaces.Box(-1.0, 1.0, (3,), np.float32)
SMALL: dict[str, Any] = {"hidden_size": 8}
MODES = ("separate", "shared", "none")


def random_env(observation: spaces.Space = VECTOR, action: spaces.Space | None = None, n_envs: int = 3) -> DummyVecEnv:
    action = spaces.Discrete(3) if action is None else action
    return DummyVecEnv([lambda: RandomSpaces(observation, action) for _ in range(n_envs)])


def agent(memory: str = "gru", env: Any = None, policy: str = "MlpMemoryPolicy", **kwargs: Any) -> RecurrentPPO:
    policy_kwargs = {"memory": memory, "memory_kwargs": SMALL} | kwargs.pop("policy_kwargs", {})
    defaults = {"n_steps": 24, "batch_size": 24, "n_epochs": 2, "seed": 0, "device": "cpu"}
    return RecurrentPPO(policy, env or random_env(), policy_kwargs=policy_kwargs, **(defaults | kwargs))


def collect(model: RecurrentPPO, rollouts: int = 1) -> None:
    """Fill the buffer, so that the last of several rollouts begins in the middle of episodes."""
    _, callback = model._setup_learn(10_000, None)
    for _ in range(rollouts):
        assert model.collect_rollouts(model.env, callback, model.rollout_buffer, model.n_steps)

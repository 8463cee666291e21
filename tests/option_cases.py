"""Small agents for the tests of training options, and rollouts to train them on."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.vec_env import DummyVecEnv
from torch import Tensor
from toy_envs import RandomSpaces

from rl_larnn.agents import RecurrentPPO

VECTOR = spaces.Box(-1.0, 1.0, (3,), np.float32)
MODES = ("separate", "shared", "none")


def random_env(action: spaces.Space | None = None) -> DummyVecEnv:
    return DummyVecEnv([lambda: RandomSpaces(VECTOR, action or spaces.Discrete(3)) for _ in range(3)])


def agent(memory: str = "gru", env: Any = None, options: dict[str, Any] | None = None, **kwargs: Any) -> RecurrentPPO:
    policy_kwargs = {"memory": memory, "memory_kwargs": {"hidden_size": 8, **(options or {})}}
    policy_kwargs |= kwargs.pop("policy_kwargs", {})
    defaults: dict[str, Any] = {
        "n_steps": 24,
        "batch_size": 24,
        "n_epochs": 2,
        "seq_len": 4,
        "seed": 0,
        "device": "cpu",
    }
    return RecurrentPPO("MlpMemoryPolicy", env or random_env(), policy_kwargs=policy_kwargs, **(defaults | kwargs))


def collect(model: RecurrentPPO, rollouts: int = 2) -> None:
    """Fill the buffer, so that the last of several rollouts begins in the middle of episodes."""
    _, callback = model._setup_learn(10_000, None)
    for _ in range(rollouts):
        assert model.collect_rollouts(model.env, callback, model.rollout_buffer, model.n_steps)


def snapshot(model: RecurrentPPO) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.policy.named_parameters()}


def assert_identical(left: dict[str, Tensor], right: dict[str, Tensor]) -> None:
    assert left.keys() == right.keys()
    assert [name for name in left if not torch.equal(left[name], right[name])] == []

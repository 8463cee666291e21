"""Datasets and settings for the tests of offline runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch

from rl_larnn.agents import RecurrentPPO
from rl_larnn.agents.behaviours import CollectConfig, collect_datasets
from rl_larnn.agents.offline import OfflineConfig
from rl_larnn.envs import make
from rl_larnn.envs.datasets import Amount, Columns, Dataset, collect, random_behaviour, store_minari

RECALL, RANDOM = "TMazePassive-10-corridor-5/mixed50-v0", "CartPole-POMDP/random-v0"
TINY: dict[str, Any] = {"hidden_size": 8, "batch_size": 4}
PENDULUM = gym.spaces.Box(-2.0, 2.0, (1,), np.float32)


def fill_store() -> None:
    """T-Maze of mixed quality and masked CartPole at random."""
    collect_datasets(CollectConfig("TMazePassive-10", "mixed", episodes=60, env_kwargs={"corridor": 5}))
    env = make("CartPole-POMDP")
    episodes = collect(lambda: make("CartPole-POMDP"), random_behaviour(env.action_space), Amount(episodes=20))
    spaces = (env.observation_space, env.action_space)
    store_minari(Dataset(RANDOM, Columns.of(episodes), *spaces, env_id="CartPole-POMDP-v0"), RANDOM)


def config(**changes: Any) -> OfflineConfig:
    given = {"memory": "gru", "updates": 12, "eval_episodes": 4, "eval_freq": 6, "device": "cpu", "settings": TINY}
    return OfflineConfig(**{"dataset": RECALL, **given, **changes})


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return RecurrentPPO.load(folder / "model.zip", device="cpu").policy.state_dict()

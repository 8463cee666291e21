"""Speed of training, and of collecting alone: ours with each memory, sb3-contrib's LSTM, and SB3's memoryless PPO.

All share environment, number of environments, steps, epochs, minibatch and layer widths. Ours and sb3-contrib's have a
memory of 64 units in front of the two layers of 64 that PPO has, for the actor and for the critic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from sb3_contrib import RecurrentPPO as ContribRecurrentPPO
from stable_baselines3 import PPO
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from rl_larnn.agents.benchmark.timing import Times, take_turns
from rl_larnn.agents.recurrent_ppo import RecurrentPPO
from rl_larnn.agents.reporting.reporter import Bar
from rl_larnn.agents.settings.environments import make_environments
from rl_larnn.agents.settings.recipes import Recipe

PPO_NAME, CONTRIB = "SB3 PPO (no memory)", "sb3-contrib RecurrentPPO (lstm)"
N_STEPS, SEQ_LEN = 256, 32

#: Memories that are measured, with their options.
MEMORY_OPTIONS: dict[str, dict[str, Any]] = {
    "none": {},
    "lstm": {},
    "gru": {},
    "aaren": {},
    "larnn": {"window": 16, "heads": 4},
}

#: Name, memory and options of the same, and of Aaren as it learns from data.
WITH_DEEP_AAREN: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, options) for name, options in MEMORY_OPTIONS.items()},
    "aaren, 2 layers": ("aaren", {"layers": 2}),
}


def agents(env_id: str, n_envs: int, memories: Sequence[str], device: str) -> dict[str, OnPolicyAlgorithm]:
    """The agents to compare; ours by the name of the memory."""
    shared: dict[str, Any] = {"n_steps": N_STEPS, "batch_size": 256, "n_epochs": 10, "device": device, "seed": 0}

    def env() -> VecEnv:
        return make_environments(env_id, {}, Recipe(), n_envs, seed=0)

    found: dict[str, OnPolicyAlgorithm] = {PPO_NAME: PPO("MlpPolicy", env(), **shared)}
    for memory in memories:
        options = {"memory": memory, "memory_kwargs": MEMORY_OPTIONS.get(memory, {})}
        found[memory] = RecurrentPPO("MlpMemoryPolicy", env(), seq_len=SEQ_LEN, policy_kwargs=options, **shared)
    found[CONTRIB] = ContribRecurrentPPO("MlpLstmPolicy", env(), policy_kwargs={"lstm_hidden_size": 64}, **shared)
    return found


def measure_training(methods: dict[str, OnPolicyAlgorithm], rounds: int, bar: Bar) -> dict[str, Times]:
    """Seconds per environment step of one rollout and the training on it, for each round."""
    steps = _steps_of_a_rollout(methods)
    learn = {
        name: partial(agent.learn, steps, reset_num_timesteps=False, log_interval=10**9)
        for name, agent in methods.items()
    }
    return take_turns(learn, rounds, bar=bar, count=steps)


def measure_collecting(methods: dict[str, OnPolicyAlgorithm], rounds: int, bar: Bar) -> dict[str, Times]:
    """Seconds per environment step of collecting alone; ``environment`` steps with given actions."""
    env = next(iter(methods.values())).env
    assert env is not None
    actions = np.stack([env.action_space.sample() for _ in range(env.num_envs)])

    def only_step() -> None:
        for _ in range(N_STEPS):
            env.step(actions)

    turns: dict[str, Callable[[], object]] = {"environment": only_step}
    for name, agent in methods.items():
        own, callback = agent.env, agent._init_callback(None)
        assert own is not None
        turns[name] = partial(agent.collect_rollouts, own, callback, agent.rollout_buffer, N_STEPS)
    return take_turns(turns, rounds, bar=bar, count=_steps_of_a_rollout(methods))


def _steps_of_a_rollout(methods: dict[str, OnPolicyAlgorithm]) -> int:
    return N_STEPS * next(iter(methods.values())).n_envs

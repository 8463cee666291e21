"""One update of offline learners on the same windows: memories against a Decision Transformer of their width.

The data are random, with Hopper's shapes; an update costs the same on any.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from rl_larnn.agents.benchmark.scans import UNITS
from rl_larnn.agents.benchmark.timing import Times, take_turns
from rl_larnn.agents.benchmark.training import WITH_DEEP_AAREN
from rl_larnn.agents.offline import OfflineLearner, OfflinePlan
from rl_larnn.agents.offline.observed import fit_statistics
from rl_larnn.agents.recurrent_ppo import RecurrentPPO
from rl_larnn.agents.reporting.reporter import Bar
from rl_larnn.agents.settings.environments import wrap_environment
from rl_larnn.agents.settings.recipes import Recipe
from rl_larnn.envs.datasets import Columns, Dataset

#: Windows of a batch and steps of a window, as in the experiments on locomotion of Chen et al., 2021.
WINDOWS, CONTEXT = 64, 20
OBSERVATION, ACTION = 11, 3

DECISION_TRANSFORMER = "Decision Transformer (3 tokens a step)"
#: All read the same numbers: the observation, the last action, the return-to-go and the time.
_OPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    DECISION_TRANSFORMER: ("transformer", {"context": CONTEXT, "tokens": [OBSERVATION, ACTION, 2]}),
    "Transformer (1 token a step)": ("transformer", {"context": CONTEXT}),
    **WITH_DEEP_AAREN,
}
_RECIPE = Recipe(previous_action=True, target_return=1.0, step_number=200)


class Shapes(gym.Env):
    """Nothing but the spaces of an environment."""

    observation_space = spaces.Box(-np.inf, np.inf, (OBSERVATION,), np.float32)
    action_space = spaces.Box(-1.0, 1.0, (ACTION,), np.float32)


def random_dataset(episodes: int = 50, length: int = 200) -> Dataset:
    """Random episodes of equal length."""
    generator, steps = np.random.default_rng(0), episodes * length
    columns = Columns(
        generator.normal(size=(steps, OBSERVATION)).astype(np.float32),
        generator.uniform(-1, 1, (steps, ACTION)).astype(np.float32),
        generator.normal(size=steps),
        np.full(episodes, length),
        np.zeros(episodes, bool),
        np.ones(episodes, bool),
    )
    return Dataset("random", columns, Shapes.observation_space, Shapes.action_space)


def learner(memory: str, options: dict[str, Any], dataset: Dataset, device: str) -> OfflineLearner:
    """A fresh learner on windows of the dataset."""
    env = VecNormalize(DummyVecEnv([lambda: wrap_environment(Shapes(), _RECIPE)]))
    fit_statistics(env, dataset, _RECIPE, 0.99)
    env.training = False
    kwargs = {"memory": memory, "memory_kwargs": {"hidden_size": UNITS, **options}, "net_arch": [UNITS]}
    model = RecurrentPPO("MlpMemoryPolicy", env, policy_kwargs=kwargs, device=device, seed=0)
    return OfflineLearner(model, dataset, _RECIPE, OfflinePlan(batch_size=WINDOWS, seq_len=CONTEXT, batches="windows"))


def measure_updates(rounds: int, device: str, bar: Bar, repeat_for: float = 0.5) -> dict[str, Times]:
    """Seconds of one update: drawing the batch, forward, backward, one step of the optimiser."""
    dataset = random_dataset()
    learners = {name: learner(memory, options, dataset, device) for name, (memory, options) in _OPTIONS.items()}
    turns = {name: lambda own=own: own.update()["train/loss"].item() for name, own in learners.items()}
    return take_turns(turns, rounds, 3, repeat_for, bar)

"""Short PPO trainings of the same small network, on one frame (no memory) or on four (a short one)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from rl_larnn.agents.certificate.inputs import FlatFrames, Frames

#: Steps of a rollout, over all environments together.
ROLLOUT = 2048

#: Arguments of PPO that the twin takes from the agent, where it has them: what a good horizon and noise are is known of
#: the task, not of the memory.
_TASK_ARGUMENTS = ("gamma", "gae_lambda", "ent_coef", "use_sde", "sde_sample_freq")


class Twin:
    """A trained network together with the normalisation that it was trained with."""

    def __init__(self, model: PPO, env: VecNormalize) -> None:
        self.model, self.env = model, env

    def act(self, inputs: np.ndarray, deterministic: bool) -> np.ndarray:
        """See :class:`rl_larnn.agents.certificate.contenders.Reader`."""
        return self.model.predict(self.env.normalize_obs(inputs), deterministic=deterministic)[0]


def train_twin(
    env: VecEnv,
    frames: Frames,
    steps: int,
    seed: int,
    agent: Any = None,
    on_progress: Callable[[float], None] = lambda share: None,
) -> Twin:
    """Train two tanh layers of 64 with PPO.

    :param env: the agent's environments; they are not closed
    :param steps: environment steps, rounded up to whole rollouts of :data:`ROLLOUT`
    :param agent: a model whose discount and exploration are taken over, where it has them
    :param on_progress: told the share that is done, after each rollout
    """
    env.seed(seed)
    shown = VecNormalize(FlatFrames(env, frames), gamma=getattr(agent, "gamma", 0.99))
    taken = {name: getattr(agent, name, None) for name in _TASK_ARGUMENTS}
    known: dict[str, Any] = {name: value for name, value in taken.items() if isinstance(value, int | float)}
    if not isinstance(agent, OnPolicyAlgorithm):
        known.pop("ent_coef", None)  # which means something else off the policy
    if not isinstance(env.action_space, spaces.Box):
        known = {"ent_coef": 0.01, **{name: known[name] for name in known if "sde" not in name}}
    model = PPO(
        "MlpPolicy",
        shown,
        n_steps=max(2, ROLLOUT // env.num_envs),
        batch_size=256,
        learning_rate=lambda left: 1e-3 * left,
        seed=seed,
        device="cpu",
        **{**known, "gae_lambda": known.get("gae_lambda", 0.95)},
    )
    model.learn(steps, callback=_Report(steps, on_progress))
    shown.training = False
    return Twin(model, shown)


class _Report(BaseCallback):
    def __init__(self, steps: int, on_progress: Callable[[float], None]) -> None:
        super().__init__()
        self.steps, self.on_progress = steps, on_progress

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        self.on_progress(min(1.0, self.num_timesteps / self.steps))

"""Training the baselines: networks of two tanh layers of 64, by PPO or by imitation.

A student imitates an agent: from the present observation alone, or from the agent's memory too. If the first does as
well as the agent, its memory was not needed. If only the second does, the first lacked the memory. If neither does,
imitation has failed and says nothing.

Source: Ross, Gordon and Bagnell, A Reduction of Imitation Learning ... to No-Regret Online Learning, 2011 (DAgger):
the student acts, and is corrected by the agent, which reads the same episode.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.torch_layers import create_mlp
from stable_baselines3.common.type_aliases import MaybeCallback, PolicyPredictor
from stable_baselines3.common.vec_env import VecEnv, VecNormalize
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from rl_larnn.agents.certificate.policies import FlatFrames, FlatPolicy, Frames
from rl_larnn.errors import UserError
from rl_larnn.optimizer import Adam

#: Steps of PPO's rollouts, over all environments together.
ROLLOUT = 2048

#: Arguments of PPO that are the agent's, where it has them: they suit the task, whatever the memory.
_TASK_ARGUMENTS = ("gamma", "gae_lambda", "ent_coef", "use_sde", "sde_sample_freq")

#: Rounds of imitation. The agent acts in the first, the student in all others.
ROUNDS = 6
BATCH = 256

#: Minibatches after each round, and after the last.
UPDATES, LAST_UPDATES = 100, 500


def train_ppo(
    env: VecEnv, frames: Frames, steps: int, seed: int, agent: Any = None, callback: MaybeCallback = None
) -> FlatPolicy:
    """Train with PPO, and normalise observations as in training from then on.

    :param env: the agent's environments; they are not closed
    :param steps: environment steps, rounded up to whole rollouts of :data:`ROLLOUT`
    :param agent: a model whose discount and exploration are used, where it has them
    :param callback: of Stable-Baselines3
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
        **known,
    )
    model.learn(steps, callback=callback)
    shown.training = False
    return lambda inputs, deterministic: model.predict(shown.normalize_obs(inputs), deterministic=deterministic)[0]


class Student:
    """A network of standardised inputs; one softmax for each choice, or one output for each number.

    :param inputs: those of the first round (N, I), for their scale
    :raises UserError: for actions that are neither choices nor numbers
    """

    def __init__(self, inputs: np.ndarray, action_space: spaces.Space, seed: int) -> None:
        torch.manual_seed(seed)
        self.generator, self.space, self.choices = np.random.default_rng(seed), action_space, _choices(action_space)
        spread = inputs.std(0)
        self.centre, self.scale = inputs.mean(0), np.where(spread > 1e-6, spread, 1).astype(np.float32)
        outputs = sum(self.choices) or int(np.prod(action_space.shape or ()))
        self.network = nn.Sequential(*create_mlp(inputs.shape[1], outputs, [64, 64], nn.Tanh))
        self.optimizer = Adam(self.network.parameters(), lr=0.0, fused=True)

    def act(self, inputs: np.ndarray, deterministic: bool) -> np.ndarray:
        """See :data:`rl_larnn.agents.certificate.policies.FlatPolicy`."""
        with torch.no_grad():
            outputs = self.network(self._standardised(inputs)).numpy()
        if isinstance(self.space, spaces.Box):
            actions = outputs.reshape(-1, *self.space.shape)
            return np.clip(actions, self.space.low, self.space.high).astype(self.space.dtype)
        # The largest of logits plus Gumbel noise is a draw from their softmax.
        noisy = outputs if deterministic else outputs + self.generator.gumbel(size=outputs.shape)
        chosen = [part.argmax(-1) for part in np.split(noisy, np.cumsum(self.choices)[:-1], axis=1)]
        if isinstance(self.space, spaces.Discrete):
            return chosen[0] + int(self.space.start)
        return np.stack(chosen, axis=1).reshape(-1, *(self.space.shape or ()))

    def learn(self, inputs: np.ndarray, actions: np.ndarray, updates: int) -> None:
        """Imitate the agent's actions (N, ...) on its inputs (N, I).

        :param updates: minibatches
        """
        features, targets = self._standardised(inputs), torch.as_tensor(actions).reshape(len(actions), -1)
        if isinstance(self.space, spaces.Discrete):
            targets = targets - int(self.space.start)
        for update in range(updates):
            rows = torch.as_tensor(self.generator.integers(len(features), size=BATCH))
            loss = self._loss(self.network(features[rows]), targets[rows])
            self.optimizer.param_groups[0]["lr"] = 3e-3 * (1 - update / updates)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()

    def _loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        if not self.choices:
            return (outputs - targets).square().mean()
        parts = zip(outputs.split(self.choices, dim=1), targets.long().unbind(1), strict=True)
        return sum((cross_entropy(logits, choice) for logits, choice in parts), outputs.new_zeros(()))

    def _standardised(self, inputs: np.ndarray) -> Tensor:
        return torch.as_tensor(np.clip((inputs - self.centre) / self.scale, -10, 10), dtype=torch.float32)


def _choices(space: spaces.Space) -> list[int]:
    """For each whole number of an action, how many values it can take; nothing for a Box."""
    if isinstance(space, spaces.Box):
        return []
    if isinstance(space, spaces.Discrete):
        return [int(space.n)]
    if isinstance(space, spaces.MultiDiscrete):
        return [int(size) for size in space.nvec.reshape(-1)]
    if isinstance(space, spaces.MultiBinary):
        return [2] * int(np.prod(space.shape))
    raise UserError(f"expected actions of Box, Discrete, MultiDiscrete or MultiBinary, got {space}")


def imitate(
    teacher: PolicyPredictor, env: VecEnv, inputs: Callable[[Any, Any], np.ndarray], steps: int, seed: int
) -> FlatPolicy:
    """Train a student on what the teacher does, then on what it would do where the student gets to.

    :param inputs: from an observation and the teacher's state after it to what the student reads (B, I)
    :param steps: environment steps, over all rounds together
    """
    env.seed(seed)
    observation: Any = env.reset()
    state, starts = None, np.ones(env.num_envs, bool)
    shown, targets = [], []
    student: Student | None = None
    for number in range(ROUNDS):
        for _ in range(max(1, steps // (ROUNDS * env.num_envs))):
            actions, state = teacher.predict(observation, state, starts, True)
            shown.append(inputs(observation, state))
            targets.append(actions)
            taken = actions if student is None else student.act(shown[-1], True)
            observation, _, starts, _ = env.step(taken)
        student = student or Student(np.concatenate(shown), env.action_space, seed)
        updates = UPDATES if number < ROUNDS - 1 else LAST_UPDATES
        student.learn(np.concatenate(shown), np.concatenate(targets), updates)
    assert student is not None
    return student.act

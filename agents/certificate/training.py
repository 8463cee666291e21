"""Short PPO trainings of the same small network, on one frame (no memory) or on four (a short one).

Students that imitate an agent: one from the present observation alone, one that is shown the agent's memory too.

If the first does as well as the agent, its memory was not needed. If only the second does, the memory was what the
first had lacked: network, data and training are the same. If neither does, imitation has failed and says nothing.

Source: Ross, Gordon and Bagnell, A Reduction of Imitation Learning ... to No-Regret Online Learning, 2011 (DAgger):
the student acts, the agent, remembering along, says what it would have done.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.type_aliases import PolicyPredictor
from stable_baselines3.common.vec_env import VecEnv, VecNormalize
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from rl_larnn.agents.certificate.policies import FlatFrames, Frames
from rl_larnn.errors import UserError
from rl_larnn.optimizer import Adam

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


#: The agent acts in the first round, the student in all others.
ROUNDS = 6
BATCH = 256

#: Minibatches after each round, and after the last.
UPDATES, LAST_UPDATES = 100, 500

#: The student's inputs (B, I) for an observation and the agent's state after it.
View = Callable[[Any, Any], np.ndarray]


class Student:
    """Two tanh layers of 64 on standardised inputs; one softmax for each choice, or one output for each number.

    :param inputs: those of the first round (N, I), for their scale
    :raises UserError: for actions that are neither choices nor numbers
    """

    def __init__(self, inputs: np.ndarray, action_space: spaces.Space, seed: int) -> None:
        torch.manual_seed(seed)
        self.generator, self.space, self.choices = np.random.default_rng(seed), action_space, _choices(action_space)
        spread = inputs.std(0)
        self.centre, self.scale = inputs.mean(0), np.where(spread > 1e-6, spread, 1).astype(np.float32)
        outputs = sum(self.choices) or int(np.prod(action_space.shape or ()))
        widths = (inputs.shape[1], 64, 64)
        layers = [layer for pair in pairwise(widths) for layer in (nn.Linear(*pair), nn.Tanh())]
        self.network = nn.Sequential(*layers, nn.Linear(widths[-1], outputs))
        self.optimizer = Adam(self.network.parameters(), lr=0.0, fused=True)

    def act(self, inputs: np.ndarray, deterministic: bool) -> np.ndarray:
        """See :class:`rl_larnn.agents.certificate.contenders.Reader`."""
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
        """Imitate the agent's actions (N, ...) in so many minibatches."""
        shown, wanted = self._standardised(inputs), torch.as_tensor(actions).reshape(len(actions), -1)
        if isinstance(self.space, spaces.Discrete):
            wanted = wanted - int(self.space.start)
        for update in range(updates):
            rows = torch.as_tensor(self.generator.integers(len(shown), size=BATCH))
            loss = self._loss(self.network(shown[rows]), wanted[rows])
            self.optimizer.param_groups[0]["lr"] = 3e-3 * (1 - update / updates)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()

    def _loss(self, outputs: Tensor, wanted: Tensor) -> Tensor:
        if not self.choices:
            return (outputs - wanted).square().mean()
        parts = zip(outputs.split(self.choices, dim=1), wanted.long().unbind(1), strict=True)
        return sum((cross_entropy(logits, choice) for logits, choice in parts), outputs.new_zeros(()))

    def _standardised(self, inputs: np.ndarray) -> Tensor:
        return torch.as_tensor(np.clip((inputs - self.centre) / self.scale, -10, 10), dtype=torch.float32)


def _choices(space: spaces.Space) -> list[int]:
    """How many ways there are to choose each of the action's whole numbers; nothing for a Box."""
    if isinstance(space, spaces.Box):
        return []
    if isinstance(space, spaces.Discrete):
        return [int(space.n)]
    if isinstance(space, spaces.MultiDiscrete):
        return [int(size) for size in space.nvec.reshape(-1)]
    if isinstance(space, spaces.MultiBinary):
        return [2] * int(np.prod(space.shape))
    raise UserError(f"expected actions of Box, Discrete, MultiDiscrete or MultiBinary, got {space}")


def imitate(teacher: PolicyPredictor, env: VecEnv, view: View, steps: int, seed: int) -> Student:
    """Train a student on what the teacher does, then on what it would do where the student gets to.

    :param steps: environment steps, over all rounds together
    """
    rounds = max(1, steps // (ROUNDS * env.num_envs))
    env.seed(seed)
    here: list[Any] = [env.reset(), None, np.ones(env.num_envs, bool)]
    inputs, actions = [], []
    student: Student | None = None
    for number in range(ROUNDS):
        for _ in range(rounds):
            wanted, after = teacher.predict(here[0], here[1], here[2], True)
            inputs.append(view(here[0], after))
            actions.append(wanted)
            done = wanted if student is None else student.act(inputs[-1], True)
            observation, _, starts, _ = env.step(done)
            here = [observation, after, starts]
        shown, labels = np.concatenate(inputs), np.concatenate(actions)
        if student is None:
            student = Student(shown, env.action_space, seed)
        student.learn(shown, labels, UPDATES if number < ROUNDS - 1 else LAST_UPDATES)
    assert student is not None
    return student


def present_only(frames: Frames) -> View:
    """The present observation, flattened."""

    def view(observation: Any, after: Any) -> np.ndarray:
        return frames.advance(None, observation, np.ones(1, bool))

    return view


def with_memory(frames: Frames, flat: Callable[[Any], np.ndarray]) -> View:
    """The present observation beside the teacher's memory after it."""

    def view(observation: Any, after: Any) -> np.ndarray:
        return np.concatenate([frames.advance(None, observation, np.ones(1, bool)), flat(after)], axis=1)

    return view

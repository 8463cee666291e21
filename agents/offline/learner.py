"""Imitation of sequences: maximise the likelihood of the recorded actions, given the history of observations.

With the return-to-go in the observation this is the objective of the Decision Transformer (Chen et al., 2021, arXiv
2106.01345), with any memory; without it, behaviour cloning. The loss is the negative log-likelihood: cross-entropy for
discrete actions, a normal distribution with a learned deviation for continuous ones.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecNormalize
from torch import Tensor

from rl_larnn.agents.offline.observed import discounted_returns_to_go, observed_windows
from rl_larnn.agents.offline.plan import OfflinePlan
from rl_larnn.agents.recurrent_ppo import RecurrentPPO
from rl_larnn.agents.settings.recipes import Recipe
from rl_larnn.envs.datasets import Dataset, Windows
from rl_larnn.observations import Observation, map_observation
from rl_larnn.optimizer import clip_gradients
from rl_larnn.state import detach
from rl_larnn.upstream import PolicyState

#: A lower bound: for data without noise, the deviation would shrink without limit and the gradients would grow.
MIN_LOG_STD = -3.0
#: In a truncated episode, the return is known for steps at which the missing part has at most this discount.
_MISSING = 0.1


class Batch(NamedTuple):
    """Windows as tensors, time first."""

    observations: Observation  # (T, B, ...), or such a tensor per key
    actions: Tensor  # (T, B, ...)
    starts: Tensor  # (T, B) bool
    mask: Tensor  # (T, B) 1 for real steps, 0 for padding
    returns: Tensor | None  # (T, B) targets of the critic; NaN where unknown


class OfflineLearner:
    """Trains the policy of a model on a dataset.

    :param model: its environments have the recipe's cues, and the statistics of the data if they are normalised
    :param dataset: episodes without the recipe's cues
    :param recipe: with the cues
    :param plan: the hyper-parameters
    :param seed: of the batches
    """

    def __init__(self, model: RecurrentPPO, dataset: Dataset, recipe: Recipe, plan: OfflinePlan, seed: int = 0) -> None:
        self.model, self.dataset, self.recipe, self.plan = model, dataset, recipe, plan
        self.updates = 0
        self.sampler = plan.sampler(dataset, seed)
        self.state: PolicyState | None = None  # carried from batch to batch
        self._normalizer = model.get_vec_normalize_env()
        scale = self._normalizer if recipe.normalize_rewards else None
        self._values = _values(dataset, model.gamma, scale) if plan.value_coef else None

    def update(self) -> dict[str, Tensor]:
        """Make one step of the optimiser.

        :return: values to log, on the device
        """
        policy = self.model.policy
        policy.set_training_mode(True)
        rate = self.plan.rate(self.updates)
        for group in policy.optimizer.param_groups:
            group["lr"] = rate
        loss, record = self._loss(self.batch())
        policy.optimizer.zero_grad()
        loss.backward()
        clip_gradients(list(policy.parameters()), self.plan.max_grad_norm)
        policy.optimizer.step()
        if hasattr(policy, "log_std"):
            policy.log_std.data.clamp_(min=MIN_LOG_STD)
        self.updates += 1
        return record

    def batch(self) -> Batch:
        """The next batch, as the policy reads it."""
        windows = self.sampler.sample()
        seen = observed_windows(windows, self.dataset, self.recipe)
        if self._normalizer is not None:
            seen = self._normalizer.normalize_obs(seen)
        shape = windows.times.shape
        flat: Any = map_observation(lambda part: part.reshape(-1, *part.shape[2:]), seen)
        observations, _ = self.model.policy.obs_to_tensor(flat)
        device = self.model.device
        floats = partial(torch.as_tensor, dtype=torch.float32, device=device)
        return Batch(
            map_observation(lambda part: part.unflatten(0, shape).transpose(0, 1), observations),
            self._actions(windows).transpose(0, 1),
            torch.as_tensor(windows.times == 0, device=device).T,
            floats(windows.mask).T,
            None if self._values is None else floats(self._values[windows.rows]).T,
        )

    def _actions(self, windows: Windows) -> Tensor:
        """``(B, K, ...)``, as the policy returns them."""
        space, actions = self.dataset.action_space, windows.actions
        if isinstance(space, spaces.Box) and self.model.policy.squash_output:
            actions = self.model.policy.scale_action(actions)
        whole = isinstance(space, spaces.Discrete | spaces.MultiDiscrete)
        return torch.as_tensor(actions, device=self.model.device).to(torch.long if whole else torch.float32)

    def _loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        policy, critic = self.model.policy, batch.returns is not None
        state = policy.initial_state(batch.starts.shape[1]) if self.state is None else self.state
        found = policy.evaluate_chunks(batch.observations, batch.actions, state, batch.starts, critic=critic)
        log_prob, values = found.log_prob, found.values
        if self.plan.batches == "streams":
            self.state = detach(found.state)
        loss = -(log_prob * batch.mask).sum() / batch.mask.sum()
        record = {"train/imitation_loss": loss.detach()}
        if batch.returns is not None and values is not None:
            known = batch.mask * batch.returns.isfinite()
            errors = (values - batch.returns.nan_to_num()).square() * known
            value_loss = errors.sum() / known.sum().clamp(min=1)
            record["train/value_loss"] = value_loss.detach()
            loss = loss + self.plan.value_coef * value_loss
        record["train/loss"] = loss.detach()
        return loss, record


def _values(dataset: Dataset, gamma: float, scale: VecNormalize | None) -> np.ndarray:
    """``(N,)`` the critic's target at each step, with rewards scaled as in online training.

    NaN where it is unknown, near the end of truncated episodes.
    """
    returns = discounted_returns_to_go(dataset, gamma)
    if scale is not None:
        returns /= np.sqrt(scale.ret_rms.var + scale.epsilon)
    columns = dataset.columns
    left = (columns.offsets + columns.lengths)[columns.episode_numbers] - np.arange(dataset.steps)
    returns[~columns.terminated[columns.episode_numbers] & (gamma**left > _MISSING)] = np.nan
    return returns

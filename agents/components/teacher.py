"""Kickstarting: a penalty on leaving the initial policy (Schmitt et al., 2018, arXiv 1803.03835).

After imitation the policy is trained and the critic is not. Until the critic is, the advantages are mostly its errors,
scaled to size one, and within a thousand steps PPO may lose what was imitated. Hence a frozen copy of the initial
policy, the teacher, reads every rollout, and the loss has the additional term

    kickstart_coef * mean over steps of (log pi(action) - log teacher(action))^2 / 2

whose gradient estimates that of KL(pi || teacher) from the actions of the rollout (Schulman, "Approximating KL
divergence", estimator k2). The coefficient usually falls to 0 over the training, as in VPT (Baker et al., 2022, arXiv
2206.11795).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from stable_baselines3.common.type_aliases import Schedule
from stable_baselines3.common.utils import FloatSchedule
from torch import Tensor

from rl_larnn.buffer import ChunkBuffer, Chunks
from rl_larnn.policies import MemoryActorCriticPolicy
from rl_larnn.state import leaves
from rl_larnn.upstream import PolicyState

#: The attribute of the algorithm, and the name in its archives.
TEACHER = "teacher"


class Teacher:
    """A frozen policy that reads every rollout.

    :param policy: the policy to copy
    :param coefficient: weight of the penalty, by remaining progress
    """

    def __init__(self, policy: MemoryActorCriticPolicy, coefficient: float | Schedule) -> None:
        self.policy = type(policy)(**policy._get_constructor_parameters()).to(policy.device)
        self.policy.load_state_dict(policy.state_dict())
        self.policy.set_training_mode(False)
        self.policy.requires_grad_(False)
        self.coefficient = FloatSchedule(coefficient)
        self.weight = 0.0  # the coefficient of the current update
        self.state: PolicyState | None = None  # the memory after the last rollout
        self.log_probs = torch.zeros(0)  # (L, chunks) of the rollout's actions

    def read_rollout(self, buffer: ChunkBuffer) -> float:
        """Compute the log-probabilities of the rollout's actions.

        :return: an estimate of KL(pi || teacher) in nats per step
        """
        state = self.state
        if state is None or len(leaves(state)[0]) != buffer.n_envs:
            state = self.policy.initial_state(buffer.n_envs)
        chunks = []
        with torch.no_grad():
            for observations, actions, starts in buffer.time_chunks():
                found = self.policy.evaluate_chunks(observations, actions, state, starts, critic=False)
                state = found.state
                chunks.append(found.log_prob)
        self.state, log_probs = state, torch.cat(chunks)
        self.log_probs = buffer.by_chunk(log_probs)
        log_ratio = log_probs - buffer.log_probs
        return (log_ratio.exp() - 1 - log_ratio).mean().item()  # estimator k3, as for train/approx_kl

    def start_update(self, progress_remaining: float) -> None:
        """Set the weight of the penalty for the next update."""
        self.weight = self.coefficient(progress_remaining)

    def penalty(self, log_prob: Tensor, chunks: Chunks) -> Tensor:
        """The term that is added to the loss of a minibatch.

        :param log_prob: ``(L, B)``, of the policy in training
        """
        return self.weight * divergence_loss(log_prob, self.log_probs.index_select(1, chunks.numbers))

    def state_dict(self) -> dict[str, Any]:
        """The weights of the policy, as archives hold them."""
        return self.policy.state_dict()

    def load_state_dict(self, weights: Mapping[str, Any], strict: bool = True) -> Any:
        """Set the weights of the policy."""
        return self.policy.load_state_dict(weights, strict)


def divergence_loss(log_prob: Tensor, teacher_log_prob: Tensor) -> Tensor:
    """Half the mean square of the difference of log-probabilities of any shape: estimator k2."""
    return 0.5 * (log_prob - teacher_log_prob).square().mean()


def fit_teacher(parameters: Mapping[str, Any], wanted: bool) -> dict[str, Any]:
    """The parameters of an archive, with those of a teacher if ``wanted``: of the archive's policy if it has none."""
    fitted = {name: value for name, value in parameters.items() if wanted or name != TEACHER}
    if wanted and TEACHER not in fitted and "policy" in fitted:
        fitted[TEACHER] = fitted["policy"]
    return fitted

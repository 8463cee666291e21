"""Not to forget what was learned before: a penalty on leaving the policy that training begins with.

A policy that comes from data meets a critic that knows nothing of it. Until the critic does, the advantages are mostly
its errors, scaled to size one, and within a thousand steps PPO may lose all that was imitated. Hence the first policy
is kept as a teacher. It reads every rollout along, and the loss is larger by

    kickstart_coef * mean over steps of (log pi(action) - log teacher(action))^2 / 2

whose gradient estimates that of KL(pi || teacher) from the actions of the rollout (Schulman, "Approximating KL
divergence", k2). With a coefficient that falls to nothing, the agent may leave its teacher in the end: kickstarting
(Schmitt et al., 2018, arXiv 1803.03835), here as VPT used it after imitation (Baker et al., 2022, arXiv 2206.11795).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from stable_baselines3.common.type_aliases import Schedule
from torch import Tensor

from rl_larnn.buffer import ChunkBuffer
from rl_larnn.policies import MemoryActorCriticPolicy
from rl_larnn.state import leaves
from rl_larnn.upstream import PolicyState

#: The attribute of the algorithm, and the name in its archives.
TEACHER = "teacher"


def check_coefficient(coefficient: float | Schedule) -> None:
    """:raises ValueError: for a negative coefficient."""
    if not callable(coefficient) and not coefficient >= 0:
        raise ValueError(f"kickstart_coef must be at least 0, got {coefficient}")


def make_teacher(policy: MemoryActorCriticPolicy) -> MemoryActorCriticPolicy:
    """A policy like this one, with the same weights, that does not learn."""
    teacher = type(policy)(**policy._get_constructor_parameters()).to(policy.device)
    teacher.load_state_dict(policy.state_dict())
    teacher.set_training_mode(False)
    return teacher.requires_grad_(False)


def judge_rollout(
    teacher: MemoryActorCriticPolicy, buffer: ChunkBuffer, state: PolicyState | None
) -> tuple[PolicyState, float]:
    """Fill in the teacher's log-probabilities of what was done.

    :param state: what the teacher remembers of the steps before the rollout; None: there were none
    :return: what it remembers after the rollout, and an estimate of KL(pi || teacher) in nats per step
    """
    if state is None or len(leaves(state)[0]) != buffer.n_envs:
        state = teacher.initial_state(buffer.n_envs)
    judged = []
    with torch.no_grad():
        for observations, actions, starts in buffer.stretches():
            log_prob, _, state = teacher.judge_chunks(observations, actions, state, starts)
            judged.append(log_prob)
    torch.cat(judged, out=buffer.teacher_log_probs)
    log_ratio = buffer.teacher_log_probs - buffer.log_probs
    return state, (log_ratio.exp() - 1 - log_ratio).mean().item()  # k3, as for train/approx_kl


def divergence_loss(log_prob: Tensor, teacher_log_prob: Tensor) -> Tensor:
    """Half the mean square of the difference of log-probabilities of any shape: k2."""
    return 0.5 * (log_prob - teacher_log_prob).square().mean()


def fit_teacher(parameters: Mapping[str, Any], wanted: bool) -> dict[str, Any]:
    """The parameters of an archive for an agent with a teacher, or without.

    Where an agent was saved without, its policy becomes the teacher.
    """
    fitted = {name: value for name, value in parameters.items() if wanted or name != TEACHER}
    if wanted and TEACHER not in fitted and "policy" in fitted:
        fitted[TEACHER] = fitted["policy"]
    return fitted

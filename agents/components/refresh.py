"""Memory states that keep up with the weights.

The states at the starts of the chunks come from the weights that collected the rollout. From the first gradient step on
they are stale: the present weights would remember something else. R2D2 (Kapturowski et al., 2019) measures what that
costs with a replay buffer, and lets the memory read some steps before it learns; a rollout can be read again whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice

import torch
from torch import Tensor

from rl_larnn.buffer import ChunkBuffer
from rl_larnn.observations import Observation
from rl_larnn.policies import MemoryActorCriticPolicy
from rl_larnn.upstream import PolicyState

#: The arguments of ``MemoryActorCriticPolicy.evaluate_chunks``, and its results.
Evaluate = Callable[[Observation, Tensor, PolicyState, Tensor], tuple[Tensor, Tensor, Tensor | None]]


def refresh_states(policy: MemoryActorCriticPolicy, buffer: ChunkBuffer) -> None:
    """Put what the present weights remember at the start of each chunk in the place of what was stored.

    The rollout is read once, in order, from the states before its first step; these stay, since what came before them
    is gone. With the weights that collected the rollout nothing changes.
    """
    states = buffer.states[:1]
    with _as_when_collecting(policy):
        for observations, _, starts in islice(buffer.stretches(), len(buffer.states) - 1):
            states.append(policy.read_chunks(observations, states[-1], starts))
    buffer.states = states


def staleness(
    policy: MemoryActorCriticPolicy, buffer: ChunkBuffer, stored: Sequence[PolicyState], evaluate: Evaluate
) -> float:
    """How far the policy that reads stored states is from the one that reads fresh ones, at the present weights.

    The buffer's states are fresh afterwards.

    :param stored: a state for the start of each chunk, as ``buffer.states``
    :param evaluate: ``policy.evaluate_chunks``, or what reports its errors
    :return: an estimate of the Kullback-Leibler divergence in nats per step, from the actions of the rollout
    """
    refresh_states(policy, buffer)
    total = torch.zeros((), device=buffer.actions.device)
    # The first states are the same.
    rest = islice(zip(buffer.stretches(), stored, buffer.states, strict=True), 1, None)
    with _as_when_collecting(policy):
        for (observations, actions, starts), old, fresh in rest:
            with_old, with_fresh = (evaluate(observations, actions, state, starts)[1] for state in (old, fresh))
            log_ratio = with_fresh - with_old
            total += (log_ratio.exp() - 1 - log_ratio).mean()  # Schulman's estimator k3, as for train/approx_kl
    return total.item() / len(stored)


@contextmanager
def _as_when_collecting(policy: MemoryActorCriticPolicy) -> Iterator[None]:
    """No gradients, and none of what only training does (dropout, batch statistics)."""
    training = policy.training
    policy.set_training_mode(False)
    try:
        with torch.no_grad():
            yield
    finally:
        policy.set_training_mode(training)

"""A learning rate of their own for the memories, as a factor on the agent's.

Rates and schedules belong to the algorithm: before each update it sets all groups of parameters to the same rate, so
stock sb3-contrib would undo a factor that a policy had set. Hence it is the algorithm's argument, and the policy only
says which parameters are its memories'. They are a group of the optimiser while the agent learns, and only then: an
archive holds one group in any case, and an agent can go on with another factor than before.

After RESeL (Luo et al., 2024, arXiv 2405.15384), where a smaller rate for the recurrent part makes training stable:
what is changed in recurrent weights acts again at every step of time.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from rl_larnn.optimizer import second_group
from rl_larnn.policies import MemoryActorCriticPolicy


def check_factor(factor: float | None) -> None:
    """:raises ValueError: for a negative factor."""
    if factor is not None and not factor >= 0:
        raise ValueError(f"memory_learning_rate is a factor on learning_rate and must be at least 0, got {factor}")


def memory_rate(policy: MemoryActorCriticPolicy, factor: float | None) -> AbstractContextManager[None]:
    """For a while, let the memories learn at ``factor`` times the rate of the rest; None: at the same rate.

    :raises ValueError: if the policy has made groups of parameters of its own
    """
    return nullcontext() if factor is None else second_group(policy.optimizer, policy.memory_parameters(), factor)

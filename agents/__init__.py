"""Who learns: :class:`RecurrentPPO` for policies with a memory."""

from rl_larnn.agents.recurrent_ppo import NonFiniteError, RecurrentPPO

__all__ = ["NonFiniteError", "RecurrentPPO"]

"""Who learns: :class:`RecurrentPPO` for policies with a memory."""

from rl_larnn.agents.checks import NonFiniteError
from rl_larnn.agents.recurrent_ppo import RecurrentPPO

__all__ = ["NonFiniteError", "RecurrentPPO"]

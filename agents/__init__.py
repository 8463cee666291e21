"""Who learns, :class:`RecurrentPPO` for policies with a memory, and what an agent remembers: :func:`certify`."""

from rl_larnn.agents.certificate import certify
from rl_larnn.agents.components.checks import NonFiniteError
from rl_larnn.agents.recurrent_ppo import RecurrentPPO

__all__ = ["NonFiniteError", "RecurrentPPO", "certify"]

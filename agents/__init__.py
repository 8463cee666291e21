"""The algorithm, :class:`RecurrentPPO`; what an agent remembers, :func:`certify`; saved runs, :func:`load_run`."""

from typing import TYPE_CHECKING, Any

from rl_larnn.agents.components.checks import NonFiniteError
from rl_larnn.agents.recurrent_ppo import RecurrentPPO

if TYPE_CHECKING:
    from rl_larnn.agents.certificate import certify
    from rl_larnn.agents.evaluation.load import load_run

__all__ = ["NonFiniteError", "RecurrentPPO", "certify", "load_run"]


def __getattr__(name: str) -> Any:
    """Import what brings tasks and plots with it only when it is asked for."""
    if name == "certify":
        from rl_larnn.agents.certificate import certify

        return certify
    if name == "load_run":
        from rl_larnn.agents.evaluation.load import load_run

        return load_run
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

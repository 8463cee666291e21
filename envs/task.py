"""What a task is: a known environment, small wrappers, and the scores that give its returns a scale."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gymnasium.envs.registration import WrapperSpec

from rl_larnn.envs.bounds.sources import Source


@dataclass(frozen=True)
class Bound:
    """One reference score: undiscounted return of an episode, averaged over episodes.

    :param value: the mean return
    :param source: where the number comes from, in a form that can be run again where it was computed here
    :param standard_error: of ``value`` over the evaluation episodes; None where no episodes were sampled
    """

    value: float
    source: Source
    standard_error: float | None = None


@dataclass(frozen=True)
class Task:
    """A partially observable task, entirely as data.

    :param id: versioned Gymnasium id under which the task is registered
    :param base: what it is made of: a Gymnasium id, or ``module:Class`` of an environment that ends its own episodes
    :param wrappers: what is done to the base, innermost first
    :param max_episode_steps: no episode is longer
    :param reward_threshold: mean return from which the task counts as solved; where the base names none, ours
    :param random: score of uniformly random actions
    :param floor: score of the best memoryless policy found; a memory has to beat it to be of use
    :param ceiling: best score known with everything visible; no memory is expected above it
    :param observation: what the agent sees, with units
    :param action: what it does, with units
    :param reward: what it is paid for
    :param note: anything else that a comparison with other work must know
    :param extra: the pip extra of rl-larnn that the base needs, or None
    :param kwargs: arguments of the base
    :param needs_memory: False for a control, on which a memory has next to nothing to gain
    :param free: arguments of the environment that may differ without changing floor and ceiling
    """

    id: str
    base: str
    wrappers: tuple[WrapperSpec, ...]
    max_episode_steps: int
    reward_threshold: float
    random: Bound
    floor: Bound
    ceiling: Bound
    observation: str
    action: str
    reward: str
    note: str = ""
    extra: str | None = None
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    needs_memory: bool = True
    free: tuple[str, ...] = ()

    @property
    def short_id(self) -> str:
        """The id without its version, as our command lines take it: ``CartPole-POMDP``."""
        return self.id.rpartition("-v")[0]

"""What a task is: a known environment, small wrappers, and reference scores."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gymnasium.envs.registration import WrapperSpec

from rl_larnn.envs.bounds.sources import Source


@dataclass(frozen=True)
class Bound:
    """One reference score: mean undiscounted return of an episode.

    :param value: the mean return
    :param source: where the number comes from; what this package computed can be repeated from it
    :param standard_error: standard error of ``value``; None where no episodes were sampled
    """

    value: float
    source: Source
    standard_error: float | None = None


@dataclass(frozen=True)
class Task:
    """A partially observable task as data.

    :param id: versioned Gymnasium id under which the task is registered
    :param base: the environment: a Gymnasium id, or ``module:Class`` of an environment that ends its own episodes
    :param wrappers: wrappers around the base, innermost first
    :param max_episode_steps: largest number of steps of an episode
    :param reward_threshold: mean return from which the task counts as solved; ours where the base names none
    :param random: score of uniformly random actions
    :param floor: score of the best memoryless policy found
    :param ceiling: best known score with everything visible
    :param observation: what the agent sees, with units
    :param action: what the agent does, with units
    :param reward: what the reward is for
    :param note: what else matters in comparisons with other work
    :param extra: pip extra of rl-larnn that the base needs, or None
    :param kwargs: arguments of the base environment
    :param needs_memory: False for a control task, on which memory can gain next to nothing
    :param free: arguments of the environment that do not change floor and ceiling
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
        """The id without its version: ``CartPole-POMDP``."""
        return self.id.rpartition("-v")[0]

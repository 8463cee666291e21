"""What a task is: a known environment, small wrappers, and the scores that give its returns a scale."""

from dataclasses import dataclass

from gymnasium.envs.registration import WrapperSpec


@dataclass(frozen=True)
class Bound:
    """One reference score: undiscounted return of an episode, averaged over episodes.

    Attributes:
        value: the mean return.
        source: where the number comes from: the command that computed it, or the publication that states it.
        standard_error: of ``value`` over the evaluation episodes; None where the source gives none.
    """

    value: float
    source: str
    standard_error: float | None = None


@dataclass(frozen=True)
class Task:
    """A partially observable task, entirely as data.

    Attributes:
        id: versioned Gymnasium id under which the task is registered.
        base_id: id of the fully observable environment it is made of.
        wrappers: what is done to the base, innermost first.
        max_episode_steps: the episode is truncated after so many steps.
        reward_threshold: mean return from which the task counts as solved.
        random: score of uniformly random actions.
        floor: score of the best memoryless policy found; a memory has to beat it to be of use.
        ceiling: best score known with everything visible; no memory is expected above it.
        observation: what the agent sees, with units.
        action: what it does, with units.
        reward: what it is paid for.
        note: anything else that a comparison with other work must know.
        extra: the pip extra of rl-larnn that the base needs, or None.
    """

    id: str
    base_id: str
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

    @property
    def short_id(self) -> str:
        """The id without its version, as our command lines take it: ``CartPole-POMDP``."""
        return self.id.rpartition("-v")[0]

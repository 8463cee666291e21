"""Collects episodes with a behaviour."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np

from rl_larnn.envs.datasets.behaviour import Behaviour
from rl_larnn.envs.datasets.episode import Episode
from rl_larnn.envs.datasets.errors import DatasetError
from rl_larnn.envs.datasets.recorder import Recorder


@dataclass(frozen=True)
class Amount:
    """How much to collect: a number of episodes, or whole episodes up to at least a number of steps.

    :raises DatasetError: not exactly one of the two is given, or it is not positive
    """

    episodes: int | None = None
    steps: int | None = None

    def __post_init__(self) -> None:
        given = [value for value in (self.episodes, self.steps) if value is not None]
        if len(given) != 1 or given[0] < 1:
            raise DatasetError(
                f"expected a positive number of either episodes or steps, got episodes={self.episodes} and "
                f"steps={self.steps}"
            )

    def reached(self, episodes: int, steps: int) -> bool:
        """Return whether these episodes and steps are enough."""
        return episodes >= self.episodes if self.episodes is not None else steps >= (self.steps or 0)

    @property
    def half(self) -> "Amount":
        """Half of the amount, rounded up."""
        halves = [None if value is None else -(-value // 2) for value in (self.episodes, self.steps)]
        return Amount(*halves)


def episode_seed(seed: int, number: int) -> int:
    """Return the seed of the environment for episode ``number`` of a collection."""
    return int(np.random.SeedSequence((seed, number)).generate_state(1)[0])


def collect(
    make: Callable[[], gym.Env],
    behaviour: Behaviour,
    amount: Amount,
    seed: int = 0,
    n_envs: int = 10,
    on_steps: Callable[[int], None] = lambda steps: None,
) -> list[Episode]:
    """Play episodes 0, 1, ... and return them in this order, recorded inside the wrappers of the behaviour.

    Every episode has its own seed (``episode_seed``). So the episodes do not depend on ``n_envs``, unless the policy's
    actions in one environment depend on the others; and short episodes are not over-represented.

    :param make: makes the environment
    :param behaviour: chooses the actions
    :param amount: when to stop
    :param seed: seed from which those of the episodes are derived
    :param n_envs: number of environments that are stepped together
    :param on_steps: called with the number of new steps, for a progress bar
    :raises DatasetError: NaN from the environment or the behaviour, or a space that no dataset can hold
    """
    slots = [_Slot(make(), behaviour) for _ in range(min(n_envs, amount.episodes or n_envs))]
    try:
        episodes = _play(slots, behaviour, amount, seed, on_steps)
    finally:
        for slot in slots:
            slot.env.close()
    steps = np.cumsum([0, *(len(episode) for episode in episodes)])
    return episodes[: next(i for i, total in enumerate(steps) if amount.reached(i, int(total)))]


@dataclass
class _Slot:
    """One environment, its recorder, and the number of its episode (None: it is idle)."""

    base: gym.Env
    behaviour: Behaviour
    number: int | None = None
    observation: Any = None
    finished: list[Episode] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.recorder = Recorder(self.base, self.finished.append)
        self.env = self.behaviour.wrap(self.recorder)

    def begin(self, number: int, seed: int) -> None:
        self.number = number
        self.observation, _ = self.env.reset(seed=episode_seed(seed, number))

    def step(self, action: Any) -> Episode | None:
        try:
            self.observation, *_ = self.env.step(action)
        except DatasetError as error:
            raise DatasetError(f"episode {self.number}: {error}") from None
        return self.finished.pop() if self.finished else None


def _play(
    slots: list[_Slot], behaviour: Behaviour, amount: Amount, seed: int, on_steps: Callable[[int], None]
) -> list[Episode]:
    done: dict[int, Episode] = {}
    state, begun, steps_done = None, 0, 0
    while True:
        starts = np.zeros(len(slots), bool)
        for i in [i for i, slot in enumerate(slots) if slot.number is None]:
            steps = steps_done + sum(slot.recorder.steps for slot in slots if slot.number is not None)
            if not amount.reached(begun, steps):
                slots[i].begin(begun, seed)
                begun, starts[i] = begun + 1, True
        running = [slot for slot in slots if slot.number is not None]
        if not running:
            return [done[number] for number in sorted(done)]
        actions, state = behaviour.policy(_stacked([slot.observation for slot in slots]), state, starts)
        for slot, action in zip(slots, actions, strict=True):
            if slot.number is not None and (episode := slot.step(action)) is not None:
                done[slot.number], slot.number = episode, None
                steps_done += len(episode)
        on_steps(len(running))


def _stacked(observations: list[Any]) -> Any:
    if isinstance(observations[0], dict):
        return {key: np.stack([observation[key] for observation in observations]) for key in observations[0]}
    return np.stack([np.asarray(observation) for observation in observations])

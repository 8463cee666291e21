"""What is kept of a training: every episode, and now and then the agent, with how well it did in a trial."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback

from rl_larnn.agents.runs.randomness import restore_generators, save_generators
from rl_larnn.agents.training.callbacks import CHECKPOINT_SECONDS
from rl_larnn.envs.datasets import Episode

#: Trials over a training.
TRIALS = 50

#: How far from random play to the expert medium is.
MEDIUM_SHARE = 1 / 3


@dataclass
class Training:
    """What is known of a training.

    :param trials: steps and mean return of each
    :param tape: the steps after which each episode ended, and the episode
    :param resumed_at: the steps after which it was picked up again
    """

    trials: list[tuple[int, float]] = field(default_factory=list)
    tape: list[tuple[int, Episode]] = field(default_factory=list)
    untimed: list[Episode] = field(default_factory=list)
    resumed_at: list[int] = field(default_factory=list)


class Watch(BaseCallback):
    """Times the recorded episodes, saves and tries the agent now and then, and has the whole training kept."""

    def __init__(
        self,
        training: Training,
        try_agent: Callable[[Path], float],
        keep: Callable[[BaseAlgorithm], None],
        folder: Path,
        total: int,
        bar: Any,
    ) -> None:
        super().__init__()
        self.training, self.try_agent, self.keep, self.folder, self.bar = training, try_agent, keep, folder, bar
        self.every = max(total // TRIALS, 1)
        self.kept_time = time.monotonic()

    def _on_step(self) -> bool:
        training = self.training
        training.tape += [(self.num_timesteps, episode) for episode in training.untimed]
        training.untimed.clear()
        self.bar.update(self.num_timesteps - self.bar.n)
        if self.num_timesteps >= (len(training.trials) + 1) * self.every:
            self._try()
            if time.monotonic() - self.kept_time >= CHECKPOINT_SECONDS:
                self.keep(self.model)
                self.kept_time = time.monotonic()
        return True

    def _try(self) -> None:
        path = self.folder / snapshot(self.num_timesteps)
        self.model.save(path)
        # Loading seeds the generators, and a trial draws from them; training must not notice.
        generators = save_generators()
        self.training.trials.append((self.num_timesteps, self.try_agent(path)))
        restore_generators(generators)
        self.bar.set_postfix_str(f"return {self.training.trials[-1][1]:.1f}", refresh=False)


def choose_medium(trials: list[tuple[int, float]], random: float, expert: float) -> int:
    """The number of the trial whose agent is medium: up to the first that got there, the one nearest to its return."""
    target = random + MEDIUM_SHARE * (expert - random)
    means = np.array([mean for _, mean in trials])
    reached = np.flatnonzero(means >= target)
    until = int(reached[0]) + 1 if len(reached) else len(means)
    return int(np.abs(means[:until] - target).argmin())


def snapshot(steps: int) -> str:
    """The name of the agent after so many steps, while training."""
    return f"{steps}.zip"

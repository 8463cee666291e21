"""What happens beside the training of a behaviour: its episodes are recorded, its agents evaluated and saved."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from stable_baselines3.common.callbacks import BaseCallback

from rl_larnn.agents.behaviours.checkpoint import TrainingHistory, agent_file, save_checkpoint
from rl_larnn.agents.reporting.reporter import Bar
from rl_larnn.agents.runs.checkpoint import CHECKPOINT_SECONDS, restore_generators, save_generators
from rl_larnn.envs.datasets import Episode

#: Evaluations over a training.
EVALUATIONS = 50


class RecordingCallback(BaseCallback):
    """Adds every finished episode to the history of the training, with the step after which it ended."""

    def __init__(self) -> None:
        super().__init__()
        self.history = TrainingHistory()
        self._ended: list[Episode] = []

    def add(self, episode: Episode) -> None:
        """To be called by the environments; the algorithm counts the step only afterwards."""
        self._ended.append(episode)

    def _on_step(self) -> bool:
        self.history.episodes += [(self.num_timesteps, episode) for episode in self._ended]
        self._ended.clear()
        return True


class EvaluationCallback(BaseCallback):
    """Saves and evaluates the agent :data:`EVALUATIONS` times, and now and then saves a checkpoint.

    :param history: of the training; evaluations are added
    :param evaluate: from the file of an agent to its mean return
    :param folder: for the agents and the checkpoint
    :param total: steps of the training
    """

    def __init__(
        self, history: TrainingHistory, evaluate: Callable[[Path], float], folder: Path, total: int, bar: Bar
    ) -> None:
        super().__init__()
        self.history, self.evaluate, self.folder, self.bar = history, evaluate, folder, bar
        self.every = max(total // EVALUATIONS, 1)
        self._saved_time = time.monotonic()

    def _on_step(self) -> bool:
        self.bar.reach(self.num_timesteps)
        if self.num_timesteps >= (len(self.history.evaluations) + 1) * self.every:
            self._evaluate()
            if time.monotonic() - self._saved_time >= CHECKPOINT_SECONDS:
                save_checkpoint(self.folder, self.model, self.history)
                self._saved_time = time.monotonic()
        return True

    def _evaluate(self) -> None:
        path = self.folder / agent_file(self.num_timesteps)
        self.model.save(path)
        # Loading seeds the generators, and an evaluation draws from them; training must not notice.
        generators = save_generators()
        mean_return = self.evaluate(path)
        restore_generators(generators)
        self.history.evaluations.append((self.num_timesteps, mean_return))
        self.bar.note(f"return {mean_return:.1f}")

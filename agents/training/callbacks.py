"""What happens beside learning: the account of returns, checkpoints, stopping on a signal, the progress bar."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from stable_baselines3.common.callbacks import BaseCallback
from tqdm import tqdm

from rl_larnn.agents.runs.progress import Progress
from rl_larnn.agents.training.interrupts import Interrupts

#: Seconds after which a checkpoint is due, however few steps were taken.
CHECKPOINT_SECONDS = 60.0


class ProgressCallback(BaseCallback):
    """Keeps the account of finished episodes."""

    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self.progress = progress

    def _on_step(self) -> bool:
        for info in self.locals["infos"]:
            if "episode" in info:
                self.progress.add_episode(float(info["episode"]["r"]), self.num_timesteps)
        return True

    def _on_rollout_end(self) -> None:
        self.progress.add_point(self.num_timesteps)


class CheckpointCallback(BaseCallback):
    """Saves between rollouts, where nothing is half done: at the very start, then as often as is due.

    :param save: saves the model as it is now
    :param every_steps: environment steps after which a checkpoint is due, or :data:`CHECKPOINT_SECONDS` if sooner
    """

    def __init__(self, save: Callable[[], object], every_steps: int) -> None:
        super().__init__()
        self.save = save
        self.every_steps = every_steps
        self.saved_at: int | None = None
        self._saved_time = 0.0
        self.collecting = False
        self.rollout_began_at = 0

    def _on_rollout_start(self) -> None:
        # The callback's own count of steps lags behind the model's until its first step.
        steps = self.model.num_timesteps
        self.collecting, self.rollout_began_at = True, steps
        if self.saved_at is None or steps - self.saved_at >= self.every_steps or self._seconds() >= CHECKPOINT_SECONDS:
            self.save()
            self.saved_at, self._saved_time = steps, time.monotonic()

    def _seconds(self) -> float:
        return time.monotonic() - self._saved_time

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        self.collecting = False


class StopCallback(BaseCallback):
    """Ends the rollout, and with it the training, when a signal has come."""

    def __init__(self, interrupts: Interrupts) -> None:
        super().__init__()
        self.interrupts = interrupts

    def _on_step(self) -> bool:
        return self.interrupts.number is None


class BarCallback(BaseCallback):
    """A progress bar with steps/s and the mean return of recent episodes; silent where there is no terminal.

    :param total: environment steps of the whole run, earlier sessions included
    """

    def __init__(self, progress: Progress, total: int) -> None:
        super().__init__()
        self.progress = progress
        self.total = total

    def _on_training_start(self) -> None:
        self.bar = tqdm(
            total=self.total, initial=self.model.num_timesteps, unit=" steps", smoothing=0.05, disable=None, leave=False
        )

    def _on_step(self) -> bool:
        self.bar.update(self.training_env.num_envs)
        return True

    def _on_rollout_end(self) -> None:
        if not math.isnan(self.progress.mean_return):
            self.bar.set_postfix_str(f"return {self.progress.mean_return:.1f}", refresh=False)

    def close(self) -> None:
        """Remove the bar, also after an error."""
        if hasattr(self, "bar"):
            self.bar.close()

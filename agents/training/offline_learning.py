"""The updates of one session, from a checkpoint or from nothing to the total, with trials and checkpoints between."""

from __future__ import annotations

import math
import time
from contextlib import closing

import torch
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import VecEnv, VecNormalize, sync_envs_normalization
from tqdm import tqdm

from rl_larnn.agents.components.checks import all_finite
from rl_larnn.agents.evaluation.evaluate import evaluate
from rl_larnn.agents.offline.learner import OfflineLearner
from rl_larnn.agents.runs.randomness import derived_seed
from rl_larnn.agents.settings.environments import make_environments, normalized
from rl_larnn.agents.training.callbacks import CHECKPOINT_SECONDS
from rl_larnn.agents.training.evaluations import EPISODES
from rl_larnn.agents.training.interrupts import Interrupts
from rl_larnn.agents.training.offline_state import OfflineSession, save_checkpoint
from rl_larnn.errors import Interrupted, UserError

#: The key under which a log says how many updates were made.
CLOCK = "time/updates"
#: Lines of the log, over the whole training.
_LINES = 100


def learn(session: OfflineSession, logger: Logger, progress_bar: bool) -> None:
    """Update up to the total of the plan, then save. At every instant a whole checkpoint is on the disk.

    :raises UserError: if training diverges; the last good checkpoint is kept
    :raises Interrupted: on Ctrl-C or SIGTERM
    """
    learner, total = session.learner, session.learner.plan.updates
    freq = session.settings.run.checkpoint_freq or max(total // 10, 1)
    lines, interrupts = _Lines(session, logger), Interrupts()
    save_checkpoint(session)
    saved_at, saved_time = learner.updates, time.monotonic()
    bar = tqdm(total=total, initial=saved_at, unit=" updates", disable=None if progress_bar else True, leave=False)
    with interrupts, bar, closing(_Trials(session, logger)) as trials:
        try:
            while learner.updates < total and interrupts.number is None:
                lines.add(_update(learner))
                bar.update()
                lines.write_if_due(bar, tried=trials.run_if_due())
                if learner.updates - saved_at >= freq or time.monotonic() - saved_time >= CHECKPOINT_SECONDS:
                    refuse_divergence(learner)
                    save_checkpoint(session)
                    saved_at, saved_time = learner.updates, time.monotonic()
        except KeyboardInterrupt:  # a second signal, perhaps in the middle of an update
            raise Interrupted(session.folder, saved_at, interrupts.number, "update") from None
    refuse_divergence(learner)
    save_checkpoint(session)
    if interrupts.number is not None:
        raise Interrupted(session.folder, learner.updates, interrupts.number, "update")


def _update(learner: OfflineLearner) -> dict[str, torch.Tensor]:
    try:
        return learner.update()
    except ValueError as error:  # PyTorch's distributions refuse parameters that are not numbers
        refuse_divergence(learner)
        raise UserError(
            f"cannot learn from the batch of update {learner.updates + 1}: the agent's actions are no numbers; are "
            "those of the data too large?"
        ) from error


def refuse_divergence(learner: OfflineLearner) -> None:
    """:raises UserError: if a weight is no longer a number; asked before the agent is tried or saved."""
    if not all_finite(learner.model.policy.parameters()):
        raise UserError(f"training diverged by update {learner.updates}; try a lower learning_rate")


class _Lines:
    """Collects what updates say, and writes their means to the log now and then."""

    def __init__(self, session: OfflineSession, logger: Logger) -> None:
        self.session, self.logger = session, logger
        self.every = max(session.learner.plan.updates // _LINES, 1)
        self.records: list[dict[str, torch.Tensor]] = []

    def add(self, record: dict[str, torch.Tensor]) -> None:
        self.records.append(record)

    def write_if_due(self, bar: tqdm, tried: bool) -> None:  # type: ignore[type-arg]
        """:param tried: there is a trial of this update, which belongs on a line of its own."""
        learner, progress = self.session.learner, self.session.progress
        if learner.updates % self.every and learner.updates != learner.plan.updates and not tried:
            return
        means = {key: torch.stack([record[key] for record in self.records]).mean().item() for key in self.records[0]}
        self.records.clear()
        if not all(math.isfinite(mean) for mean in means.values()):
            raise UserError(f"training diverged by update {learner.updates}; try a lower learning_rate")
        for key, mean in means.items():
            self.logger.record(key, mean)
        policy = learner.model.policy
        if hasattr(policy, "log_std"):
            self.logger.record("train/std", policy.log_std.exp().mean().item())
        self.logger.record("train/learning_rate", policy.optimizer.param_groups[0]["lr"])
        self.logger.record("time/updates_per_s", round(learner.updates / progress.wall_s, 1))
        self.logger.record(CLOCK, learner.updates)
        self.logger.dump(learner.updates)
        bar.set_postfix_str(f"loss {means['train/imitation_loss']:.3f}", refresh=False)


class _Trials:
    """Tries the agent now and then, off the clock. What is handed out is the last agent: nobody may look ahead."""

    def __init__(self, session: OfflineSession, logger: Logger) -> None:
        self.session, self.logger = session, logger
        asked = session.settings.run.eval_freq
        self.every = max(session.learner.plan.updates // 10, 1) if asked is None else asked
        self._env: VecEnv | None = None

    def run_if_due(self) -> bool:
        """Whether there was a trial."""
        learner, progress = self.session.learner, self.session.progress
        if not self.every or (learner.updates % self.every and learner.updates != learner.plan.updates):
            return False
        refuse_divergence(learner)
        with progress.paused():
            evaluation = evaluate(learner.model, self._environments(), EPISODES)
        progress.trials.append((learner.updates, evaluation.mean))
        self.logger.record("eval/mean_reward", evaluation.mean)
        self.logger.record("eval/mean_ep_length", sum(evaluation.lengths) / len(evaluation.lengths))
        if learner.dataset.references is not None:
            self.logger.record("eval/normalized_score", float(learner.dataset.normalized_score(evaluation.mean)))
        return True

    def _environments(self) -> VecEnv:
        run = self.session.settings.run
        if self._env is None:
            made = make_environments(run.env, run.env_kwargs, run.recipe, EPISODES, derived_seed(run.seed, 2))
            self._env = normalized(made, run.recipe)
            if isinstance(self._env, VecNormalize):
                self._env.training = self._env.norm_reward = False
                sync_envs_normalization(self.session.env, self._env)
        # The same episodes in every trial, also in those of a run that was resumed.
        self._env.seed(derived_seed(run.seed, 2))
        return self._env

    def close(self) -> None:
        if self._env is not None:
            self._env.close()

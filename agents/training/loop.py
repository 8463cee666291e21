"""The training loop: periodic evaluation, checkpoints, and stopping on a signal.

Training after a task is solved may make the agent worse again. Hence the result of an online run is selected among its
best checkpoints (:mod:`rl_larnn.agents.training.selection`).
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

from stable_baselines3.common.vec_env import VecEnv, VecNormalize, sync_envs_normalization

from rl_larnn.agents.components.checks import NonFiniteError
from rl_larnn.agents.evaluation.evaluate import evaluate
from rl_larnn.agents.reporting.reporter import Bar
from rl_larnn.agents.runs.checkpoint import CHECKPOINT_SECONDS, find_checkpoint
from rl_larnn.agents.settings.environments import make_environments, normalized
from rl_larnn.agents.training.selection import keep
from rl_larnn.agents.training.session import Session, save_checkpoint
from rl_larnn.errors import Interrupted, UserError, one_line

#: Episodes of each evaluation, all in parallel.
EPISODES = 10


class PeriodicEvaluation:
    """Evaluates the agent at fixed intervals, with deterministic actions; the time does not count as training."""

    def __init__(self, session: Session) -> None:
        self.session = session
        learner, every = session.learner, session.settings.eval_freq
        self.every = max(learner.total // learner.evaluations, 1) if every is None else every
        self._env: VecEnv | None = None
        # An agent that starts with the weights of a run may be at its best before the first step.
        fresh_start = session.settings.init is not None and not learner.done
        done = [int(units) for units, _ in session.progress.evaluations]
        self._last = -self.every if fresh_start else done[-1] if done else 0

    def run_if_due(self, last: bool = False) -> bool:
        """Evaluate the agent if that is due.

        :param last: training is over: evaluate unless this agent has been
        :return: whether it was evaluated
        """
        session, learner = self.session, self.session.learner
        since = learner.done - self._last
        if not self.every or not (since >= self.every or (last and since)):
            return False
        learner.check()
        self._last = learner.done
        with session.progress.paused():
            found = evaluate(learner.model, self._environments(), EPISODES)
            session.progress.evaluations.append((learner.done, found.mean))
            learner.model.logger.record("eval/mean_reward", found.mean)
            learner.model.logger.record("eval/mean_ep_length", sum(found.lengths) / len(found.lengths))
            for key, value in learner.evaluation_records(found.mean).items():
                learner.model.logger.record(key, value)
            if learner.selects_best:
                keep(session, found.mean)
        return True

    def _environments(self) -> VecEnv:
        """Environments with the current normalisation of the training."""
        settings, learner = self.session.settings, self.session.learner
        seed = learner.evaluation_seed()
        if self._env is None:
            made = make_environments(settings.env, settings.env_kwargs, settings.recipe, EPISODES, seed)
            self._env = normalized(made, settings.recipe)
        self._env.seed(seed)
        if isinstance(self._env, VecNormalize):
            self._env.training = self._env.norm_reward = False
            sync_envs_normalization(learner.env, self._env)
        return self._env

    def close(self) -> None:
        """Close the environments."""
        if self._env is not None:
            self._env.close()


class Loop:
    """Trains up to the total; the learner calls its methods between updates.

    :param bar: shows the progress
    """

    def __init__(self, session: Session, bar: Bar) -> None:
        self.session, self.bar, self.progress = session, bar, session.progress
        self.signal: int | None = None  # that was received
        self.evaluation = PeriodicEvaluation(session)
        self.checkpoint_freq = session.settings.checkpoint_freq or max(session.learner.total // 10, 1)
        self.saved_at: int | None = None
        self._saved_time = 0.0

    @property
    def stopped(self) -> bool:
        """Whether a signal has been received."""
        return self.signal is not None

    def evaluate_if_due(self, last: bool = False) -> bool:
        """Evaluate the agent if that is due, except after a signal."""
        return not self.stopped and self.evaluation.run_if_due(last)

    def save_if_due(self) -> None:
        """Save a checkpoint at the start and whenever one is due."""
        late = time.monotonic() - self._saved_time >= CHECKPOINT_SECONDS
        if self.saved_at is None or self.session.learner.done - self.saved_at >= self.checkpoint_freq or late:
            self.save()

    def save(self) -> None:
        """Save a checkpoint now."""
        self.session.learner.check()
        save_checkpoint(self.session)
        self.saved_at, self._saved_time = self.session.learner.done, time.monotonic()

    def run(self) -> None:
        """Train up to the total, then save. At every moment there is a complete checkpoint on the disk.

        :raises UserError: for a number that is not finite; the last checkpoint is kept
        :raises Interrupted: on Ctrl-C or SIGTERM
        """
        learner, folder = self.session.learner, self.session.folder
        unit = learner.unit.removesuffix("s")
        with self._signals_noted(), closing(self.evaluation):
            interrupted = False
            try:
                learner.learn(self)
            except NonFiniteError as error:
                good = f"the last good checkpoint, of {unit} {self.saved_at}, is kept in {find_checkpoint(folder)}"
                raise UserError(f"{one_line(error)}; {good}") from error
            except KeyboardInterrupt:  # a second signal, or one from outside
                interrupted = True
            stopped = interrupted or self.stopped
            if (stopped and learner.cut_off()) or not interrupted:  # an interrupted update is not saved
                self.save()
            if stopped:
                raise Interrupted(folder, self.saved_at or 0, self.signal, unit)

    @contextmanager
    def _signals_noted(self) -> Iterator[None]:
        """Make the first signal only set :attr:`signal`; a second one raises KeyboardInterrupt.

        A signal must not interrupt a step of the optimiser, when only some parameters are updated. Outside the main
        thread, where Python allows no handlers, nothing is changed.
        """

        def note(number: int, frame: object) -> None:
            if self.signal is not None:
                raise KeyboardInterrupt
            self.signal = number

        main = threading.current_thread() is threading.main_thread()
        before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM) if main}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

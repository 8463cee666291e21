"""Learning from a checkpoint, or from nothing, up to the total: evaluations, checkpoints, and stopping on a signal."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import closing
from types import FrameType, TracebackType
from typing import Any

from rl_larnn.agents.components.checks import NonFiniteError
from rl_larnn.agents.reporting.reporter import Bar, Reporter
from rl_larnn.agents.runs.checkpoint import CHECKPOINT_SECONDS, find_checkpoint
from rl_larnn.agents.training.evaluations import PeriodicEvaluation
from rl_larnn.agents.training.session import Session, save_checkpoint
from rl_larnn.errors import Interrupted, UserError, one_line

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """While entered, the first signal is only noted in :attr:`number`; a second one interrupts at once.

    Parameters are half updated in the middle of an optimiser's step, so a signal must not cut one off. Outside the
    main thread, where Python allows no handlers, nothing is changed.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in _SIGNALS}
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.number is not None:
            raise KeyboardInterrupt
        self.number = number

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


class Loop:
    """What happens between the pieces of learning (:class:`rl_larnn.agents.training.session.Pauses`).

    :param bar: shows how far training has come
    """

    def __init__(self, session: Session, bar: Bar) -> None:
        self.session, self.bar, self.progress = session, bar, session.progress
        self.interrupts = Interrupts()
        self.evaluation = PeriodicEvaluation(session)
        self.checkpoint_freq = session.settings.checkpoint_freq or max(session.learner.total // 10, 1)
        self.saved_at: int | None = None
        self._saved_time = 0.0

    @property
    def stopped(self) -> bool:
        """Whether a signal has asked to stop."""
        return self.interrupts.number is not None

    def evaluate_if_due(self, last: bool = False) -> bool:
        """Evaluate the agent now if it is time; whoever asked to stop should not have to wait for that."""
        return not self.stopped and self.evaluation.run_if_due(last)

    def save_if_due(self) -> None:
        """Save a checkpoint at the very start, then as often as is due."""
        late = time.monotonic() - self._saved_time >= CHECKPOINT_SECONDS
        if self.saved_at is None or self.session.learner.done - self.saved_at >= self.checkpoint_freq or late:
            self.save()

    def save(self) -> None:
        """Save a checkpoint now."""
        self.session.learner.check()
        save_checkpoint(self.session)
        self.saved_at, self._saved_time = self.session.learner.done, time.monotonic()

    def run(self) -> None:
        """Learn up to the total, then save. At every instant a whole checkpoint is on the disk.

        :raises UserError: for a number that is not finite; the last checkpoint is kept
        :raises Interrupted: on Ctrl-C or SIGTERM
        """
        learner = self.session.learner
        with self.interrupts, closing(self.evaluation):
            try:
                learner.learn(self)
            except NonFiniteError as error:
                raise UserError(self._with_last_checkpoint(error)) from error
            except KeyboardInterrupt:  # a second signal, or one from outside
                if learner.cut_off():
                    self.save()
                self._stop()
            if self.stopped:
                learner.cut_off()
                self.save()
                self._stop()
            self.save()

    def _stop(self) -> None:
        unit = self.session.learner.unit.removesuffix("s")
        raise Interrupted(self.session.folder, self.saved_at or 0, self.interrupts.number, unit)

    def _with_last_checkpoint(self, error: NonFiniteError) -> str:
        unit, place = self.session.learner.unit.removesuffix("s"), find_checkpoint(self.session.folder)
        return f"{one_line(error)}; the last good checkpoint, of {unit} {self.saved_at}, is kept in {place}"


def learn(session: Session, reporter: Reporter) -> None:
    """See :meth:`Loop.run`.

    :param reporter: shows a bar
    """
    learner = session.learner
    with reporter.progress(learner.total, learner.unit, learner.done) as bar:
        Loop(session, bar).run()

"""The learning of one session, from a checkpoint or from nothing up to the total, and what may cut it short."""

from __future__ import annotations

from rl_larnn.agents.components.checks import NonFiniteError
from rl_larnn.agents.runs.checkpoint import find_checkpoint
from rl_larnn.agents.runs.state import Session, save_checkpoint
from rl_larnn.agents.training.callbacks import BarCallback, CheckpointCallback, ProgressCallback, StopCallback
from rl_larnn.agents.training.evaluations import TrialCallback
from rl_larnn.agents.training.interrupts import Interrupts
from rl_larnn.errors import Interrupted, UserError, one_line


def learn(session: Session, progress_bar: bool) -> None:
    """Train up to the total of the settings, then save. At every instant a whole checkpoint is on the disk.

    :raises UserError: for an observation or reward that is not finite; the last checkpoint is kept
    :raises Interrupted: on Ctrl-C or SIGTERM
    """
    model, settings, total = session.model, session.settings, session.settings.recipe.n_timesteps
    interrupts = Interrupts()
    freq = settings.checkpoint_freq or max(total // 10, 1)
    checkpoints = CheckpointCallback(lambda: save_checkpoint(session), freq)
    bar = BarCallback(session.progress, total)
    eval_freq = max(total // 20, 1) if settings.eval_freq is None else settings.eval_freq
    trials = TrialCallback(session, eval_freq, lambda: interrupts.number is not None)
    callbacks = [ProgressCallback(session.progress), trials, checkpoints, StopCallback(interrupts)]
    with interrupts:
        try:
            # A total, counted on from the checkpoint, keeps the schedules on their original line.
            left = max(total - model.num_timesteps, 0)
            callback = [*callbacks, bar] if progress_bar else callbacks
            model.learn(left, callback=callback, reset_num_timesteps=not model.num_timesteps)
            if interrupts.number is None:
                trials.try_at_the_end()
        except NonFiniteError as error:
            raise UserError(_non_finite(session, checkpoints, error)) from error
        except KeyboardInterrupt:
            # Cut off by a second signal, or from outside: in the middle of an update nothing is fit to be saved.
            _stop(session, checkpoints, interrupts.number, fit=checkpoints.collecting)
        finally:
            bar.close()
            trials.close()
        if interrupts.number is not None:
            _stop(session, checkpoints, interrupts.number, fit=True)
        save_checkpoint(session)


def _stop(session: Session, checkpoints: CheckpointCallback, number: int | None, fit: bool) -> None:
    if checkpoints.collecting:
        # The rollout was cut off before anything was learned from it.
        session.model.num_timesteps = checkpoints.rollout_began_at
    if fit:
        save_checkpoint(session)
    steps = session.model.num_timesteps if fit else checkpoints.saved_at or 0
    raise Interrupted(session.folder, steps, number)


def _non_finite(session: Session, checkpoints: CheckpointCallback, error: NonFiniteError) -> str:
    checkpoint = find_checkpoint(session.folder)
    return f"{one_line(error)}; the last good checkpoint, of step {checkpoints.saved_at}, is kept in {checkpoint}"

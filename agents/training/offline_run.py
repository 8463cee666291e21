"""Offline training as a function: everything that the command line does, except for reading arguments and printing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from rl_larnn.agents.evaluation.evaluate import Evaluation, ResetEveryStep, evaluate
from rl_larnn.agents.evaluation.load import load_run
from rl_larnn.agents.offline.config import OfflineConfig, OfflineSettings, resolve_offline
from rl_larnn.agents.runs.folder import CONFIG, RESULT, create_folder, refuse_existing, reopen, training_alone
from rl_larnn.agents.runs.logs import run_logger
from rl_larnn.agents.runs.results import versions
from rl_larnn.agents.runs.state import save_model
from rl_larnn.agents.settings.memory_names import short_name
from rl_larnn.agents.settings.models import pick_device
from rl_larnn.agents.training.machine import compile_kernels, threads
from rl_larnn.agents.training.offline_learning import CLOCK, learn
from rl_larnn.agents.training.offline_result import OfflineResult, result_of
from rl_larnn.agents.training.offline_state import OfflineSession, load_checkpoint, load_settings, new_session
from rl_larnn.envs.datasets import dataset_title
from rl_larnn.errors import Interrupted
from rl_larnn.files import write_json

#: Told what was chosen, where it goes and what to beware of, before the first update.
Announce = Callable[[OfflineSettings, Path, list[str]], None]


@dataclass(frozen=True)
class OfflineRun:
    """A finished offline run. ``folder`` is its run folder."""

    folder: Path
    settings: OfflineSettings
    result: OfflineResult
    evaluation: Evaluation


def train_offline(config: OfflineConfig, announce: Announce | None = None) -> OfflineRun:
    """Learn from a dataset, evaluate on fresh episodes and leave it all in a new run folder.

    :raises UserError: for a mistake in the config, and for a dataset that cannot be found, read or used
    :raises Interrupted: on Ctrl-C or SIGTERM, with a checkpoint saved
    """
    wanted = None if config.run_dir is None else Path(config.run_dir)
    if wanted is not None:
        refuse_existing(wanted)
    settings, warnings = resolve_offline(config)
    with threads(settings.run.threads):
        compile_kernels(pick_device(settings.run.device), config.progress_bar)
        session = new_session(Path(), settings)
        try:
            session.folder = create_folder(wanted, dataset_title(settings.dataset), _name(settings), settings.run.seed)
            with training_alone(session.folder):
                write_json(session.folder / CONFIG, _record(settings))
                return _run(session, config.progress_bar, announce, warnings)
        finally:
            session.env.close()


def resume_offline(
    run_dir: str | Path,
    updates: int | None = None,
    device: str | None = None,
    progress_bar: bool = False,
    announce: Announce | None = None,
) -> OfflineRun:
    """Continue an offline run from its last checkpoint: after a kill, after Ctrl-C, or beyond its end.

    :param updates: a new total
    :param device: where to go on, if elsewhere than before
    :raises UserError: if there is nothing to continue, or the checkpoint is damaged
    :raises Interrupted: on Ctrl-C or SIGTERM, with a checkpoint saved
    """
    folder = Path(run_dir)
    before = settings = load_settings(folder)
    if updates is not None:
        settings = replace(settings, plan=replace(settings.plan, updates=updates))
    if device is not None:
        settings = replace(settings, run=replace(settings.run, device=device))
    with threads(settings.run.threads), training_alone(folder):
        compile_kernels(pick_device(settings.run.device), progress_bar)
        session = load_checkpoint(folder, settings)
        try:
            reopen(folder, "updates", session.learner.updates, settings.plan.updates, before.plan.updates)
            write_json(folder / CONFIG, _record(settings))
            return _run(session, progress_bar, announce, [])
        finally:
            session.env.close()


def _name(settings: OfflineSettings) -> str:
    return short_name(settings.run.method) + ("-clone" if settings.run.recipe.target_return is None else "")


def _record(settings: OfflineSettings) -> dict[str, object]:
    return {**settings.to_json(), "versions": versions()}


def _run(session: OfflineSession, progress_bar: bool, announce: Announce | None, warnings: list[str]) -> OfflineRun:
    logger = run_logger(session.folder, session.learner.updates, CLOCK)
    if announce is not None:
        announce(session.settings, session.folder, warnings)
    try:
        learn(session, logger, progress_bar)
    finally:
        logger.close()
    try:
        return _finish(session)
    except KeyboardInterrupt:
        # Nothing is lost: resuming goes straight to the evaluation.
        raise Interrupted(session.folder, session.learner.updates, unit="update") from None


def _finish(session: OfflineSession) -> OfflineRun:
    """Save the agent, evaluate what was saved, not what is in memory, and write the result."""
    run, learner, folder = session.settings.run, session.learner, session.folder
    wall_s = session.progress.wall_s
    save_model(learner.model, folder)
    loaded = load_run(folder, device=run.device)
    evaluation = evaluate(loaded.model, loaded.make_environments, run.eval_episodes)
    wiped = evaluate(ResetEveryStep(loaded.model), loaded.make_environments, run.eval_episodes)
    result = result_of(session, evaluation, wiped, wall_s)
    write_json(folder / RESULT, result.to_json())
    return OfflineRun(folder, session.settings, result, evaluation)

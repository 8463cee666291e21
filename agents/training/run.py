"""Start and resume training."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from rl_larnn import native
from rl_larnn.agents.offline.config import OfflineConfig, load_offline_settings, resolve_offline
from rl_larnn.agents.reporting.reporter import SILENT, Reporter
from rl_larnn.agents.runs.folder import CONFIG, create_folder, initial_run, refuse_existing, reopen, training_alone
from rl_larnn.agents.runs.logs import run_logger
from rl_larnn.agents.runs.results import Progress, versions
from rl_larnn.agents.settings.config import TrainConfig, resolve
from rl_larnn.agents.settings.models import pick_device
from rl_larnn.agents.training.finish import Run, finish
from rl_larnn.agents.training.loop import Loop
from rl_larnn.agents.training.offline import offline_run
from rl_larnn.agents.training.online import online_run
from rl_larnn.agents.training.session import RunSpec, Session, load_checkpoint
from rl_larnn.errors import Interrupted, UserError
from rl_larnn.files import write_json


def train(config: TrainConfig, reporter: Reporter = SILENT) -> Run:
    """Train an agent online, evaluate it and save everything in a new run folder.

    :raises UserError: for a mistake in the config, and for an observation or reward that is not finite
    :raises Interrupted: on Ctrl-C or SIGTERM, with a checkpoint saved
    """
    refuse_existing(config.run_dir)
    settings = resolve(config, None if config.init is None else initial_run(config.init))
    return _start(online_run(settings), config.run_dir, reporter)


def train_offline(config: OfflineConfig, reporter: Reporter = SILENT) -> Run:
    """Train an agent on a dataset, evaluate it and save everything in a new run folder.

    :raises UserError: for a mistake in the config, and for a dataset that cannot be found, read or used
    :raises Interrupted: on Ctrl-C or SIGTERM, with a checkpoint saved
    """
    refuse_existing(config.run_dir)
    settings, warnings, dataset = resolve_offline(config)
    return _start(replace(offline_run(settings, dataset), warnings=warnings), config.run_dir, reporter)


def resume(
    run_dir: str | Path, n_timesteps: int | None = None, device: str | None = None, reporter: Reporter = SILENT
) -> Run:
    """Resume an online run from its last checkpoint, unfinished or finished.

    :param n_timesteps: a new total of environment steps
    :param device: a new device
    :raises UserError: if there is nothing to resume, or the checkpoint is damaged
    :raises Interrupted: on Ctrl-C or SIGTERM, with a checkpoint saved
    """
    folder = Path(run_dir)
    before, was_offline = initial_run(folder)
    settings = before
    if n_timesteps is not None:
        if n_timesteps < 1:
            raise UserError(f"n_timesteps must be at least 1, got {n_timesteps}")
        settings = replace(settings, recipe=replace(settings.recipe, n_timesteps=n_timesteps))
    settings = replace(settings, device=device or settings.device)
    if was_offline:
        raise UserError(
            f"{folder} was trained offline: continue it with train_offline.py --resume, or start an online run with "
            f"its weights: --env {settings.env} --init {folder}"
        )
    return _resume(online_run(settings), folder, before.recipe.n_timesteps, reporter)


def resume_offline(
    run_dir: str | Path, updates: int | None = None, device: str | None = None, reporter: Reporter = SILENT
) -> Run:
    """Resume an offline run from its last checkpoint, unfinished or finished.

    :param updates: a new total of updates
    :param device: a new device
    :raises UserError: if there is nothing to resume, or the checkpoint is damaged
    :raises Interrupted: on Ctrl-C or SIGTERM, with a checkpoint saved
    """
    folder = Path(run_dir)
    before = settings = load_offline_settings(folder)
    if updates is not None:
        settings = replace(settings, plan=replace(settings.plan, updates=updates))
    settings = replace(settings, run=replace(settings.run, device=device or settings.run.device))
    return _resume(offline_run(settings), folder, before.plan.updates, reporter)


def _start(spec: RunSpec, run_dir: str | Path | None, reporter: Reporter) -> Run:
    with _prepared(spec, reporter):
        learner = spec.new()
        with closing(learner.env):
            folder = create_folder(run_dir, spec.title, spec.name, spec.run.seed)
            with training_alone(folder):
                return _train(spec, Session(folder, spec.run, learner, Progress(threshold=spec.threshold)), reporter)


def _resume(spec: RunSpec, folder: Path, total_before: int, reporter: Reporter) -> Run:
    with training_alone(folder), _prepared(spec, reporter):
        session = load_checkpoint(folder, spec)
        learner = session.learner
        with closing(learner.env):
            reopen(folder, learner.unit, learner.done, learner.total, total_before)
            return _train(spec, session, reporter)


def _train(spec: RunSpec, session: Session, reporter: Reporter) -> Run:
    folder, learner = session.folder, session.learner
    write_json(folder / CONFIG, {**spec.settings.to_json(), "versions": versions()})
    for warning in spec.warnings:
        reporter.warning(warning)
    choices = ", ".join(f"{key}={value}" for key, value in spec.settings.choices().items())
    reporter.message(
        f"{spec.settings.heading()}\n  {choices}\n"
        f"  into {folder}; watch it with: tensorboard --logdir {shlex.quote(str(folder))}"
    )
    with closing(run_logger(folder, learner.done, learner.clock)) as logger:
        learner.model.set_logger(logger)
        learner.prepare_log()
        with reporter.progress(learner.total, learner.unit, learner.done) as bar:
            Loop(session, bar).run()
    try:
        return finish(session, spec.settings)
    except KeyboardInterrupt:
        # Nothing is lost: a resumed run starts with the final evaluation.
        raise Interrupted(folder, learner.done, unit=learner.unit.removesuffix("s")) from None


@contextmanager
def _prepared(spec: RunSpec, reporter: Reporter) -> Iterator[None]:
    """Set the threads of torch inside, and compile the kernels, which is not training time, with a message."""
    before = torch.get_num_threads()
    torch.set_num_threads(spec.run.threads)
    try:
        if pick_device(spec.run.device).type == "cpu" and native.needs_compiling(torch.zeros(0)):
            with reporter.progress() as bar:
                bar.note("compiling the kernels for this machine, once: some 20 s")
                native.library(torch.float32)
        yield
    finally:
        torch.set_num_threads(before)

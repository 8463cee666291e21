"""Training as functions: everything that the command lines do, except for reading arguments."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from rl_larnn import native
from rl_larnn.agents.offline.config import OfflineConfig, load_offline_settings, resolve_offline
from rl_larnn.agents.reporting.reporter import SILENT, Reporter
from rl_larnn.agents.runs.folder import (
    CONFIG,
    create_folder,
    initial_run,
    load_settings,
    refuse_existing,
    reopen,
    training_alone,
    was_offline,
)
from rl_larnn.agents.runs.logs import run_logger
from rl_larnn.agents.runs.results import Progress, versions
from rl_larnn.agents.settings.config import TrainConfig, resolve
from rl_larnn.agents.settings.models import pick_device
from rl_larnn.agents.training.finish import Run, finish
from rl_larnn.agents.training.loop import learn
from rl_larnn.agents.training.offline import offline_run
from rl_larnn.agents.training.online import online_run
from rl_larnn.agents.training.session import RunSpec, Session, load_checkpoint
from rl_larnn.errors import Interrupted, UserError
from rl_larnn.files import write_json


def train(config: TrainConfig, reporter: Reporter = SILENT) -> Run:
    """Train an agent, evaluate it on fresh episodes and leave it all in a new run folder.

    :raises UserError: for a mistake in the config, and for an observation or reward that is not finite
    :raises Interrupted: on Ctrl-C or SIGTERM, with a checkpoint saved
    """
    wanted = _wanted(config.run_dir)
    settings = resolve(config, initial_run(config.init))
    return _start(online_run(settings), wanted, reporter)


def train_offline(config: OfflineConfig, reporter: Reporter = SILENT) -> Run:
    """Learn from a dataset, evaluate on fresh episodes and leave it all in a new run folder.

    :raises UserError: for a mistake in the config, and for a dataset that cannot be found, read or used
    :raises Interrupted: on Ctrl-C or SIGTERM, with a checkpoint saved
    """
    wanted = _wanted(config.run_dir)
    resolved = resolve_offline(config)
    spec = replace(offline_run(resolved.settings, resolved.dataset), warnings=resolved.warnings)
    return _start(spec, wanted, reporter)


def resume(
    run_dir: str | Path, n_timesteps: int | None = None, device: str | None = None, reporter: Reporter = SILENT
) -> Run:
    """Continue a run from its last checkpoint: after a kill, after Ctrl-C, or beyond its end.

    :param n_timesteps: a new total of environment steps, to train a finished run for longer
    :param device: where to go on, if elsewhere than before
    :raises UserError: if there is nothing to continue, or the checkpoint is damaged
    :raises Interrupted: on Ctrl-C or SIGTERM, with a checkpoint saved
    """
    folder = Path(run_dir)
    before = settings = load_settings(folder)
    if n_timesteps is not None:
        if n_timesteps < 1:
            raise UserError(f"n_timesteps must be at least 1, got {n_timesteps}")
        settings = replace(settings, recipe=replace(settings.recipe, n_timesteps=n_timesteps))
    if device is not None:
        settings = replace(settings, device=device)
    if was_offline(folder):
        raise UserError(
            f"{folder} was trained offline: continue it with train_offline.py --resume, or begin an online run with "
            f"its weights: --env {settings.env} --init {folder}"
        )
    return _resume(online_run(settings), folder, before.recipe.n_timesteps, reporter)


def resume_offline(
    run_dir: str | Path, updates: int | None = None, device: str | None = None, reporter: Reporter = SILENT
) -> Run:
    """Continue an offline run from its last checkpoint: after a kill, after Ctrl-C, or beyond its end.

    :param updates: a new total
    :param device: where to go on, if elsewhere than before
    :raises UserError: if there is nothing to continue, or the checkpoint is damaged
    :raises Interrupted: on Ctrl-C or SIGTERM, with a checkpoint saved
    """
    folder = Path(run_dir)
    before = settings = load_offline_settings(folder)
    if updates is not None:
        settings = replace(settings, plan=replace(settings.plan, updates=updates))
    if device is not None:
        settings = replace(settings, run=replace(settings.run, device=device))
    return _resume(offline_run(settings), folder, before.plan.updates, reporter)


def _wanted(run_dir: str | Path | None) -> Path | None:
    """The folder that was asked for, refused at once if it exists."""
    if run_dir is None:
        return None
    refuse_existing(Path(run_dir))
    return Path(run_dir)


def _start(spec: RunSpec, wanted: Path | None, reporter: Reporter) -> Run:
    with threads(spec.run.threads):
        compile_kernels(pick_device(spec.run.device), reporter)
        learner = spec.new()
        try:
            folder = create_folder(wanted, spec.title, spec.name, spec.run.seed)
            with training_alone(folder):
                return _train(spec, Session(folder, spec.run, learner, Progress(threshold=spec.threshold)), reporter)
        finally:
            learner.env.close()


def _resume(spec: RunSpec, folder: Path, total_before: int, reporter: Reporter) -> Run:
    with threads(spec.run.threads), training_alone(folder):
        compile_kernels(pick_device(spec.run.device), reporter)
        session = load_checkpoint(folder, spec)
        learner = session.learner
        try:
            reopen(folder, learner.unit, learner.done, learner.total, total_before)
            return _train(spec, session, reporter)
        finally:
            learner.env.close()


def _train(spec: RunSpec, session: Session, reporter: Reporter) -> Run:
    folder, learner = session.folder, session.learner
    write_json(folder / CONFIG, {**spec.settings.to_json(), "versions": versions()})
    logger = run_logger(folder, learner.done, learner.clock)
    learner.model.set_logger(logger)
    learner.prepare_log()
    try:
        for warning in spec.warnings:
            reporter.warning(warning)
        reporter.message(_announcement(spec, folder))
        learn(session, reporter)
    finally:
        logger.close()
    try:
        return finish(session, spec.settings)
    except KeyboardInterrupt:
        # Nothing is lost: resuming goes straight to the evaluation.
        raise Interrupted(folder, learner.done, unit=learner.unit.removesuffix("s")) from None


def _announcement(spec: RunSpec, folder: Path) -> str:
    choices = ", ".join(f"{key}={value}" for key, value in spec.settings.choices().items())
    return (
        f"{spec.settings.heading()}\n  {choices}\n"
        f"  into {folder}; watch it with: tensorboard --logdir {shlex.quote(str(folder))}"
    )


@contextmanager
def threads(number: int) -> Iterator[None]:
    """So many threads of torch inside, as many as before outside."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def compile_kernels(device: torch.device, reporter: Reporter) -> None:
    """Have the kernels ready before the clock runs, and say so: the first run on a machine must not seem to hang."""
    if device.type == "cpu" and native.needs_compiling(torch.zeros(0)):
        with reporter.progress() as bar:
            bar.note("compiling the kernels for this machine, once: some 20 s")
            native.library(torch.float32)

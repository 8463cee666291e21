"""Training as a function: everything that the command line does, except for reading arguments and printing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from rl_larnn.agents.evaluation.evaluate import Evaluation, ResetEveryStep, evaluate
from rl_larnn.agents.evaluation.load import load_run
from rl_larnn.agents.runs.folder import CONFIG, RESULT, create_folder, refuse_existing, reopen, training_alone
from rl_larnn.agents.runs.logs import run_logger
from rl_larnn.agents.runs.progress import Progress
from rl_larnn.agents.runs.results import Result, versions
from rl_larnn.agents.runs.settings_file import begun_with, load_settings, was_offline
from rl_larnn.agents.runs.state import (
    Session,
    load_checkpoint,
    restore_pending,
    save_model,
)
from rl_larnn.agents.settings.config import Settings, TrainConfig, resolve
from rl_larnn.agents.settings.environments import make_environments, normalized, reward_threshold
from rl_larnn.agents.settings.memory_names import short_name
from rl_larnn.agents.settings.models import build_model, pick_device
from rl_larnn.agents.training.initial import as_in_run, take_over
from rl_larnn.agents.training.learning import learn
from rl_larnn.agents.training.machine import compile_kernels, threads
from rl_larnn.agents.training.selection import play_off
from rl_larnn.agents.training.top_checkpoints import hand_out
from rl_larnn.errors import Interrupted, UserError
from rl_larnn.files import write_json

__all__ = ["Run", "TrainConfig", "resume", "train"]

#: Told what was chosen and where it goes, once everything has been checked and before the first step.
Announce = Callable[[Settings, Path], None]


@dataclass(frozen=True)
class Run:
    """A finished run.

    :param folder: its run folder
    :param curve: per rollout: steps, mean return of the last 100 training episodes, seconds
    """

    folder: Path
    settings: Settings
    result: Result
    evaluation: Evaluation
    curve: list[tuple[int, float, float]]


def train(config: TrainConfig, announce: Announce | None = None) -> Run:
    """Train an agent, evaluate it on fresh episodes and leave it all in a new run folder.

    :raises UserError: for a mistake in the config, and for an observation or reward that is not finite
    :raises Interrupted: on Ctrl-C or SIGTERM, with a checkpoint saved
    """
    wanted = None if config.run_dir is None else Path(config.run_dir)
    if wanted is not None:
        refuse_existing(wanted)
    settings = resolve(config, begun_with(config.init))
    recipe = settings.recipe
    with threads(settings.threads):
        env = make_environments(
            settings.env, settings.env_kwargs, recipe, recipe.n_envs, settings.seed, settings.vec_env
        )
        try:
            env = normalized(env, recipe) if settings.init is None else as_in_run(settings.init, env, recipe)
            model = build_model(recipe, env, settings.seed, settings.device)
            if settings.init is not None:
                take_over(settings.init, model)
            folder = create_folder(wanted, settings.env, short_name(settings.method), settings.seed)
            with training_alone(folder):
                write_json(folder / CONFIG, _record(settings))
                compile_kernels(pick_device(settings.device), config.progress_bar)
                progress = Progress(threshold=reward_threshold(settings.env))
                session = Session(folder, settings, model, env, progress)
                return _run(session, config.progress_bar, announce)
        finally:
            env.close()


def resume(
    run_dir: str | Path,
    n_timesteps: int | None = None,
    device: str | None = None,
    progress_bar: bool = False,
    announce: Announce | None = None,
) -> Run:
    """Continue a run from its last checkpoint: after a kill, after Ctrl-C, or beyond its end.

    :param n_timesteps: a new total of environment steps, to train a finished run for longer
    :param device: where to go on, if elsewhere than before
    :raises UserError: if there is nothing to continue, or the checkpoint is damaged
    :raises Interrupted: on Ctrl-C or SIGTERM, with a checkpoint saved
    """
    folder = Path(run_dir)
    before = load_settings(folder)
    settings = _changed(before, n_timesteps, device)
    if was_offline(folder):
        raise UserError(
            f"{folder} was trained offline: continue it with train_offline.py --resume, or begin an online run with "
            f"its weights: --env {settings.env} --init {folder}"
        )
    with threads(settings.threads), training_alone(folder):
        compile_kernels(pick_device(settings.device), progress_bar)
        session = load_checkpoint(folder, settings)
        try:
            wanted, asked = settings.recipe.n_timesteps, before.recipe.n_timesteps
            reopen(folder, "steps", session.model.num_timesteps, wanted, asked)
            write_json(folder / CONFIG, _record(settings))
            return _run(session, progress_bar, announce)
        finally:
            session.env.close()


def _record(settings: Settings) -> dict[str, object]:
    return {**settings.to_json(), "versions": versions()}


def _changed(settings: Settings, n_timesteps: int | None, device: str | None) -> Settings:
    if n_timesteps is not None:
        if n_timesteps < 1:
            raise UserError(f"n_timesteps must be at least 1, got {n_timesteps}")
        settings = replace(settings, recipe=replace(settings.recipe, n_timesteps=n_timesteps))
    return settings if device is None else replace(settings, device=device)


def _run(session: Session, progress_bar: bool, announce: Announce | None) -> Run:
    model, steps = session.model, session.model.num_timesteps
    model.set_logger(run_logger(session.folder, steps))
    if steps:
        restore_pending(model, session.folder)
    if announce is not None:
        announce(session.settings, session.folder)
    try:
        learn(session, progress_bar)
    finally:
        model.logger.close()
    try:
        return _finish(session)
    except KeyboardInterrupt:
        # Nothing is lost: resuming goes straight to the evaluation.
        raise Interrupted(session.folder, model.num_timesteps) from None


def _finish(session: Session) -> Run:
    """Hand out the best agent, evaluate what was saved, not what is in memory, and write the result."""
    settings, progress, folder = session.settings, session.progress, session.folder
    wall_s, steps = progress.wall_s, session.model.num_timesteps
    means = play_off(session)
    best = next(iter(means), None)
    if best is None:
        save_model(session.model, folder)
    else:
        hand_out(best, folder)
    loaded = load_run(folder, device=settings.device)
    evaluation = evaluate(loaded.model, loaded.make_environments, settings.eval_episodes)
    wiped = evaluate(ResetEveryStep(loaded.model), loaded.make_environments, settings.eval_episodes)
    result = Result(
        env=settings.env,
        algorithm=settings.algorithm,
        memory=settings.memory,
        seed=settings.seed,
        steps=steps,
        wall_s=round(wall_s, 3),
        steps_per_s=round(steps / wall_s, 1),
        best_at_steps=steps if best is None else best.steps,
        play_off=[[candidate.steps, mean] for candidate, mean in means.items()] if len(means) > 1 else [],
        eval_episodes=settings.eval_episodes,
        mean_return=evaluation.mean,
        std_return=evaluation.std,
        mean_return_wiped=wiped.mean,
        trials=[list(trial) for trial in progress.trials],
        parameters=sum(parameter.numel() for parameter in session.model.policy.parameters()),
        threshold=progress.threshold,
        solved_at_steps=progress.solved_at_steps,
        solved_at_s=progress.solved_at_s,
        device=str(session.model.device),
        threads=settings.threads,
        versions=versions(),
    )
    write_json(folder / RESULT, result.to_json())
    return Run(folder, settings, result, evaluation, progress.curve)

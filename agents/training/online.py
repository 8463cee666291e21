"""Learning online: an algorithm of Stable-Baselines3's kind, with pauses between its rollouts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from rl_larnn.agents.evaluation.evaluate import Evaluation
from rl_larnn.agents.runs.checkpoint import STATE
from rl_larnn.agents.runs.folder import MODEL, NORMALIZATION
from rl_larnn.agents.runs.logs import CLOCK
from rl_larnn.agents.runs.results import OnlineResult, Progress
from rl_larnn.agents.settings.config import Settings
from rl_larnn.agents.settings.environments import (
    derived_seed,
    load_normalization,
    make_environments,
    normalized,
    reward_threshold,
)
from rl_larnn.agents.settings.models import build_model, load_model
from rl_larnn.agents.training.initial import load_weights, normalized_as_in
from rl_larnn.agents.training.session import Learner, RunSpec
from rl_larnn.files import read_json

if TYPE_CHECKING:
    from rl_larnn.agents.training.loop import Loop


class OnlineLearner(Learner):
    """Learns from rollouts."""

    unit, clock = "steps", CLOCK
    evaluations, selects_best = 20, True

    def __init__(self, settings: Settings, env: VecEnv, model: OnPolicyAlgorithm) -> None:
        self.settings, self.env, self.model = settings, env, model
        self._rollout_began_at: int | None = None  # steps before the rollout that is being collected
        self._pending: list[list[Any]] = []

    @property
    def done(self) -> int:
        """Environment steps learned from."""
        return self.model.num_timesteps

    @property
    def total(self) -> int:
        """Environment steps of the whole run."""
        return self.settings.recipe.n_timesteps

    def learn(self, loop: Loop) -> None:
        """Collect and learn, rollout by rollout."""
        left = max(self.total - self.done, 0)
        # A total, counted on from the checkpoint, keeps the schedules on their original line.
        self.model.learn(left, callback=_RolloutCallback(self, loop), reset_num_timesteps=not self.done)
        loop.evaluate_if_due(last=True)

    def cut_off(self) -> bool:
        """Drop the rollout that was being collected; in the middle of an update nothing is fit to be saved."""
        if self._rollout_began_at is None:
            return False
        self.model.num_timesteps = self._rollout_began_at
        return True

    def state(self) -> dict[str, Any]:
        """What the last update recorded for the next line of the log, which is only written a rollout later."""
        logger = self.model.logger
        numbers = {key: np.asarray(value).item() for key, value in logger.name_to_value.items() if np.isscalar(value)}
        return {"pending": [[key, value, logger.name_to_excluded[key]] for key, value in numbers.items()]}

    def restore(self, state: Mapping[str, Any], folder: Path) -> None:
        """See :meth:`state`."""
        self.model.num_timesteps = int(state["steps"])
        self._pending = list(state["pending"])

    def prepare_log(self) -> None:
        """Record again what the last update before the checkpoint had recorded."""
        for key, value, excluded in self._pending:
            self.model.logger.record(key, value, exclude=tuple(excluded) if isinstance(excluded, list) else excluded)

    def evaluation_seed(self) -> int:
        """The episodes of an evaluation depend on the step only, not on earlier interruptions."""
        return derived_seed(self.settings.seed, self.done, 2)

    def result(self, evaluation: Evaluation, progress: Progress, **common: Any) -> OnlineResult:
        """The result of the run."""
        return OnlineResult(
            algorithm=self.settings.algorithm,
            steps=self.done,
            steps_per_s=round(self.done / common["wall_s"], 1),
            threshold=progress.threshold,
            solved_at_steps=progress.solved_at_steps,
            solved_at_s=progress.solved_at_s,
            **common,
        )


class _RolloutCallback(BaseCallback):
    """Pauses before each rollout, counts episodes and steps, and ends the rollout when a signal has come."""

    def __init__(self, learner: OnlineLearner, loop: Loop) -> None:
        super().__init__()
        self.learner, self.loop = learner, loop

    def _on_rollout_start(self) -> None:
        self.loop.evaluate_if_due()
        # The callback's own count of steps lags behind the model's until its first step.
        self.learner._rollout_began_at = self.model.num_timesteps
        self.loop.save_if_due()

    def _on_step(self) -> bool:
        for info in self.locals["infos"]:
            if "episode" in info:
                self.loop.progress.add_episode(float(info["episode"]["r"]), self.num_timesteps)
        self.loop.bar.advance(self.training_env.num_envs)
        return not self.loop.stopped

    def _on_rollout_end(self) -> None:
        self.learner._rollout_began_at = None
        if not math.isnan(self.loop.progress.mean_return):
            self.loop.bar.note(f"return {self.loop.progress.mean_return:.1f}")


def online_run(settings: Settings) -> RunSpec:
    """A run that learns online."""
    return RunSpec(
        settings,
        settings,
        title=settings.env,
        name=settings.method,
        threshold=reward_threshold(settings.env),
        new=lambda: _new(settings),
        load=lambda checkpoint: _load(settings, checkpoint),
    )


def _new(settings: Settings) -> OnlineLearner:
    recipe = settings.recipe
    env = _environments(settings, settings.seed)
    try:
        env = normalized(env, recipe) if settings.init is None else normalized_as_in(settings.init, env, recipe)
        model = build_model(recipe, env, settings.seed, settings.device)
        if settings.init is not None:
            load_weights(settings.init, model)
        return OnlineLearner(settings, env, model)
    except BaseException:
        env.close()
        raise


def _load(settings: Settings, checkpoint: Path) -> OnlineLearner:
    steps = read_json(checkpoint / STATE, "the state of a run").get("steps", 0)
    # The first episodes of the run must not come again, nor may two sessions from one checkpoint differ.
    seed = derived_seed(settings.seed, int(steps), 1)
    env = _environments(settings, seed)
    try:
        env = load_normalization(checkpoint / NORMALIZATION, env, training=True)
        model = load_model(checkpoint / MODEL, env, settings.device, settings.algorithm)
        env.seed(seed)  # loading seeds everything as at the beginning of the run
        return OnlineLearner(settings, env, model)
    except BaseException:
        env.close()
        raise


def _environments(settings: Settings, seed: int) -> VecEnv:
    recipe = settings.recipe
    return make_environments(settings.env, settings.env_kwargs, recipe, recipe.n_envs, seed, settings.vec_env)

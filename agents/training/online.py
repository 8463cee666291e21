"""Online training with an on-policy algorithm, which may start with the weights of another run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from rl_larnn.agents.evaluation.evaluate import Evaluation
from rl_larnn.agents.evaluation.load import find_source, load_run
from rl_larnn.agents.runs.checkpoint import STATE, restore_generators, save_generators
from rl_larnn.agents.runs.folder import MODEL, NORMALIZATION
from rl_larnn.agents.runs.logs import CLOCK
from rl_larnn.agents.runs.results import OnlineResult, Progress
from rl_larnn.agents.settings import environments
from rl_larnn.agents.settings.config import Settings
from rl_larnn.agents.settings.models import build_model, load_model
from rl_larnn.agents.settings.recipes import Recipe
from rl_larnn.agents.training.loop import Loop
from rl_larnn.agents.training.session import Learner, RunSpec, closed_on_error
from rl_larnn.errors import UserError
from rl_larnn.files import read_json


class OnlineLearner(Learner):
    """Trains on rollouts."""

    unit, clock = "steps", CLOCK
    evaluations, selects_best = 20, True

    def __init__(self, settings: Settings, env: VecEnv, model: OnPolicyAlgorithm) -> None:
        self.settings, self.env, self.model = settings, env, model
        self._rollout_start: int | None = None  # steps before the unfinished rollout
        self._pending: list[list[Any]] = []

    @property
    def done(self) -> int:
        """Environment steps done."""
        return self.model.num_timesteps

    @property
    def total(self) -> int:
        """Environment steps of the whole run."""
        return self.settings.recipe.n_timesteps

    def learn(self, loop: Loop) -> None:
        """See :meth:`Learner.learn`."""
        left = max(self.total - self.done, 0)  # to which the model adds the steps done: schedules continue as they were
        self.model.learn(left, callback=_RolloutCallback(self, loop), reset_num_timesteps=not self.done)
        loop.evaluate_if_due(last=True)

    def cut_off(self) -> bool:
        """Drop the unfinished rollout; False in the middle of an update."""
        if self._rollout_start is None:
            return False
        self.model.num_timesteps = self._rollout_start
        return True

    def save(self, folder: Path) -> dict[str, Any]:
        """What the last update recorded for the next line of the log, which is written one rollout later."""
        logger = self.model.logger
        numbers = {key: np.asarray(value).item() for key, value in logger.name_to_value.items() if np.isscalar(value)}
        return {"pending": [[key, value, logger.name_to_excluded[key]] for key, value in numbers.items()]}

    def restore(self, state: Mapping[str, Any], folder: Path) -> None:
        """See :meth:`save`."""
        self.model.num_timesteps = int(state["steps"])
        self._pending = list(state["pending"])

    def prepare_log(self) -> None:
        """Record the values of :meth:`save` again."""
        for key, value, excluded in self._pending:
            self.model.logger.record(key, value, exclude=tuple(excluded) if isinstance(excluded, list) else excluded)

    def evaluation_seed(self) -> int:
        """The seed depends on the steps done, not on earlier interruptions."""
        return environments.derived_seed(self.settings.seed, self.done, 2)

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
    """Evaluates and saves before each rollout, counts episodes, and stops the rollout after a signal."""

    def __init__(self, learner: OnlineLearner, loop: Loop) -> None:
        super().__init__()
        self.learner, self.loop = learner, loop

    def _on_rollout_start(self) -> None:
        self.loop.evaluate_if_due()
        # The callback's own count is not up to date before its first step.
        self.learner._rollout_start = self.model.num_timesteps
        self.loop.save_if_due()

    def _on_step(self) -> bool:
        for info in self.locals["infos"]:
            if "episode" in info:
                self.loop.progress.add_episode(float(info["episode"]["r"]), self.num_timesteps)
        self.loop.bar.advance(self.training_env.num_envs)
        return not self.loop.stopped

    def _on_rollout_end(self) -> None:
        self.learner._rollout_start = None
        if not math.isnan(self.loop.progress.mean_return):
            self.loop.bar.note(f"return {self.loop.progress.mean_return:.1f}")


def online_run(settings: Settings) -> RunSpec:
    """An online run."""
    return RunSpec(
        settings,
        settings,
        title=settings.env,
        name=settings.method,
        threshold=environments.reward_threshold(settings.env),
        new=lambda: _new(settings),
        load=lambda checkpoint: _load(settings, checkpoint),
    )


def _new(settings: Settings) -> OnlineLearner:
    recipe = settings.recipe
    with closed_on_error(_environments(settings, settings.seed)) as env:
        env = normalized_as_in(settings.init, env, recipe)
        model = build_model(recipe, env, settings.seed, settings.device)
        if settings.init is not None:
            load_weights(settings.init, model)
        return OnlineLearner(settings, env, model)


def _load(settings: Settings, checkpoint: Path) -> OnlineLearner:
    steps = read_json(checkpoint / STATE, "the state of a run").get("steps", 0)
    # The first episodes of the run must not be repeated, and two sessions from one checkpoint must not differ.
    seed = environments.derived_seed(settings.seed, int(steps), 1)
    with closed_on_error(_environments(settings, seed)) as env:
        env = environments.load_normalization(checkpoint / NORMALIZATION, env, training=True)
        model = load_model(checkpoint / MODEL, env, settings.device, settings.algorithm)
        env.seed(seed)  # loading a model seeds the environments as at the start of the run
        return OnlineLearner(settings, env, model)


def _environments(settings: Settings, seed: int) -> VecEnv:
    recipe = settings.recipe
    return environments.make_environments(
        settings.env, settings.env_kwargs, recipe, recipe.n_envs, seed, settings.vec_env
    )


def normalized_as_in(folder: str | Path | None, env: VecEnv, recipe: Recipe) -> VecEnv:
    """Environments with the normalisation of a run, or new normalisation if there is no run or it has none.

    Statistics of an online run are updated further. Those of a dataset are not: the mean of the return-to-go would move
    away from that of the data, and the agent would aim for lower and lower returns.

    :raises UserError: if there is no agent in the folder, or its environments have other spaces
    """
    path = None if folder is None else find_source(Path(folder)) / NORMALIZATION
    if path is None or not path.exists():
        return environments.normalized(env, recipe)
    loaded = environments.load_normalization(path, env, training=True)
    assert isinstance(loaded, VecNormalize)
    loaded.norm_reward = recipe.normalize_rewards
    loaded.gamma = recipe.gamma
    return loaded


def load_weights(folder: str | Path, model: OnPolicyAlgorithm) -> None:
    """Load the weights of a run into a new model.

    :raises UserError: for a different shape, naming the first
    """
    generators = save_generators()
    found = load_run(folder, "cpu").model.policy.state_dict()
    restore_generators(generators)  # loading a model seeds them
    own = model.policy.state_dict()
    for name in dict.fromkeys([*own, *found]):
        shapes = [tuple(weights[name].shape) if name in weights else None for weights in (own, found)]
        if shapes[0] != shapes[1]:
            came, wanted = (f"{shape}" if shape else "nothing" for shape in (shapes[1], shapes[0]))
            raise UserError(
                f"the weights of {folder} don't fit this agent: expected {wanted} for {name}, got {came}; leave out "
                "settings that change its shape, or start with another run"
            )
    model.policy.load_state_dict(found)

"""Offline training: imitation of a dataset."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from rl_larnn.agents.components.checks import NonFiniteError, all_finite
from rl_larnn.agents.evaluation.evaluate import Evaluation
from rl_larnn.agents.offline.config import OfflineSettings, load_data
from rl_larnn.agents.offline.learner import OfflineLearner
from rl_larnn.agents.offline.observed import fit_statistics
from rl_larnn.agents.recurrent_ppo import RecurrentPPO
from rl_larnn.agents.reporting.reporter import Bar
from rl_larnn.agents.runs.folder import MODEL, NORMALIZATION
from rl_larnn.agents.runs.results import OfflineResult, Progress
from rl_larnn.agents.settings.environments import derived_seed, load_normalization, make_environments, normalized
from rl_larnn.agents.settings.models import build_model, load_model
from rl_larnn.agents.training.loop import Loop
from rl_larnn.agents.training.session import Learner, RunSpec, closed_on_error
from rl_larnn.envs.datasets import Dataset, dataset_title
from rl_larnn.errors import UserError
from rl_larnn.state import pack, unpack
from rl_larnn.upstream import PolicyState

#: The key of the number of updates in the log.
CLOCK = "time/updates"
#: Lines of the log, over the whole training.
_LINES = 100
_MEMORY = "memory.pt"


class DataLearner(Learner):
    """Trains on a dataset. The last agent is the result, without selection by returns."""

    unit, clock = "updates", CLOCK
    evaluations, selects_best = 10, False
    model: RecurrentPPO

    def __init__(self, settings: OfflineSettings, env: VecEnv, model: RecurrentPPO, dataset: Dataset) -> None:
        seed, recipe = derived_seed(settings.run.seed, 3), settings.run.recipe
        self.settings, self.env, self.model = settings, env, model
        self.learner = OfflineLearner(model, dataset, recipe, settings.plan, seed)
        self._records: list[dict[str, torch.Tensor]] = []  # of the updates since the last line of the log

    @property
    def done(self) -> int:
        """Updates done."""
        return self.learner.updates

    @property
    def total(self) -> int:
        """Updates of the whole run."""
        return self.learner.plan.updates

    def learn(self, loop: Loop) -> None:
        """See :meth:`Learner.learn`."""
        loop.save_if_due()
        while self.done < self.total and not loop.stopped:
            self._records.append(self._update())
            loop.bar.advance()
            last = self.done == self.total
            if loop.evaluate_if_due(last) or last or self.done % max(self.total // _LINES, 1) == 0:
                self._write_line(loop.progress, loop.bar)
            loop.save_if_due()
        self.check()

    def _update(self) -> dict[str, torch.Tensor]:
        try:
            return self.learner.update()
        except ValueError as error:  # PyTorch's distributions refuse parameters that are not numbers
            self.check()
            raise UserError(
                f"cannot learn from the batch of update {self.done + 1}: the agent's actions are not finite; are those "
                "of the data too large?"
            ) from error

    def check(self) -> None:
        """:raises NonFiniteError: if a weight is not finite."""
        if not all_finite(self.model.policy.parameters()):
            self._diverged()

    def _diverged(self) -> None:
        raise NonFiniteError(f"training diverged by update {self.done}; try a lower learning_rate")

    def _write_line(self, progress: Progress, bar: Bar) -> None:
        """Write a line of the log, with means over the updates since the last."""
        records, logger, policy = self._records, self.model.logger, self.model.policy
        means = {key: torch.stack([record[key] for record in records]).mean().item() for key in records[0]}
        self._records = []
        if not all(math.isfinite(mean) for mean in means.values()):
            self._diverged()
        for key, mean in means.items():
            logger.record(key, mean)
        if hasattr(policy, "log_std"):
            logger.record("train/std", policy.log_std.exp().mean().item())
        logger.record("train/learning_rate", policy.optimizer.param_groups[0]["lr"])
        logger.record("time/updates_per_s", round(self.done / progress.wall_s, 1))
        logger.record(CLOCK, self.done)
        logger.dump(self.done)
        bar.note(f"loss {means['train/imitation_loss']:.3f}")

    def save(self, folder: Path) -> dict[str, Any]:
        """The position in the dataset; the state of the memory between batches is written to a file."""
        if self.learner.state is not None:
            torch.save(pack(self.learner.state), folder / _MEMORY)
        return {"sampler": self.learner.sampler.state()}

    def restore(self, state: Mapping[str, Any], folder: Path) -> None:
        """See :meth:`save`."""
        self.learner.updates = int(state["updates"])
        self.learner.sampler.restore(state["sampler"])
        if (folder / _MEMORY).exists():
            packed = torch.load(folder / _MEMORY, map_location=self.model.device, weights_only=True)
            carried = unpack(packed, self.model.policy.initial_state(1))
            assert isinstance(carried, PolicyState)
            self.learner.state = carried

    def evaluation_seed(self) -> int:
        """The seed is the same for every evaluation."""
        return derived_seed(self.settings.run.seed, 2)

    def evaluation_records(self, mean_return: float) -> dict[str, float]:
        """The normalised score, if the dataset has reference returns."""
        score = self._score(mean_return)
        return {} if score is None else {"eval/normalized_score": score}

    def _score(self, mean_return: float) -> float | None:
        dataset = self.learner.dataset
        return None if dataset.references is None else float(dataset.normalized_score(mean_return))

    def result(self, evaluation: Evaluation, progress: Progress, **common: Any) -> OfflineResult:
        """The result of the run."""
        return OfflineResult(
            dataset=self.settings.dataset,
            updates=self.done,
            updates_per_s=round(self.done / common["wall_s"], 1),
            target_return=self.settings.run.recipe.target_return,
            normalized_score=self._score(evaluation.mean),
            **common,
        )


def offline_run(settings: OfflineSettings, dataset: Dataset | None = None) -> RunSpec:
    """An offline run.

    :param dataset: its dataset, if it is loaded already
    """
    run = settings.run
    return RunSpec(
        run,
        settings,
        title=dataset_title(settings.dataset),
        name=run.method + ("-clone" if run.recipe.target_return is None else ""),
        threshold=None,
        new=lambda: _new(settings, load_data(settings) if dataset is None else dataset),
        load=lambda checkpoint: _load(settings, checkpoint),
    )


def _new(settings: OfflineSettings, dataset: Dataset) -> DataLearner:
    recipe = settings.run.recipe
    with closed_on_error(normalized(_environments(settings), recipe)) as env:
        if isinstance(env, VecNormalize):
            fit_statistics(env, dataset, recipe, recipe.gamma)
            env.training = False
        model = build_model(recipe, env, settings.run.seed, settings.run.device)
        assert isinstance(model, RecurrentPPO)
        return DataLearner(settings, env, model, dataset)


def _load(settings: OfflineSettings, checkpoint: Path) -> DataLearner:
    dataset, run = load_data(settings), settings.run
    with closed_on_error(_environments(settings)) as env:
        env = load_normalization(checkpoint / NORMALIZATION, env, training=False)
        model = load_model(checkpoint / MODEL, env, run.device, run.algorithm)
        assert isinstance(model, RecurrentPPO)
        return DataLearner(settings, env, model, dataset)


def _environments(settings: OfflineSettings) -> VecEnv:
    run, seed = settings.run, derived_seed(settings.run.seed, 2)
    return make_environments(run.env, run.env_kwargs, run.recipe, run.recipe.n_envs, seed, run.vec_env)

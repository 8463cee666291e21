"""The result of an offline run: what ``result.json`` holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rl_larnn.agents.evaluation.evaluate import Evaluation
from rl_larnn.agents.runs.results import versions
from rl_larnn.agents.training.offline_state import OfflineSession


@dataclass(frozen=True)
class OfflineResult:
    """A finished offline run; what it shares with :class:`rl_larnn.agents.runs.results.Result` has the same meaning.

    :param updates: steps of the optimiser
    :param target_return: the return that was asked for, or ``None`` where the agent was cloned
    :param normalized_score: the mean return on the dataset's scale, 0 random play and 100 the expert; or ``None``
    :param trials: updates and mean return of each trial during training
    """

    env: str
    dataset: str
    memory: str
    seed: int
    updates: int
    wall_s: float
    updates_per_s: float
    target_return: float | None
    eval_episodes: int
    mean_return: float
    std_return: float
    mean_return_wiped: float
    normalized_score: float | None
    trials: list[list[float]]
    parameters: int
    device: str
    threads: int
    versions: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def result_of(session: OfflineSession, evaluation: Evaluation, wiped: Evaluation, wall_s: float) -> OfflineResult:
    """The result of a run whose training is over.

    :param evaluation: of the agent on fresh episodes
    :param wiped: on the same ones, its memory wiped before every step
    :param wall_s: seconds of training
    """
    run, learner, dataset = session.settings.run, session.learner, session.learner.dataset
    known = dataset.references is not None
    return OfflineResult(
        env=run.env,
        dataset=session.settings.dataset,
        memory=run.memory,
        seed=run.seed,
        updates=learner.updates,
        wall_s=round(wall_s, 3),
        updates_per_s=round(learner.updates / wall_s, 1),
        target_return=run.recipe.target_return,
        eval_episodes=run.eval_episodes,
        mean_return=evaluation.mean,
        std_return=evaluation.std,
        mean_return_wiped=wiped.mean,
        normalized_score=float(dataset.normalized_score(evaluation.mean)) if known else None,
        trials=[list(trial) for trial in session.progress.trials],
        parameters=sum(parameter.numel() for parameter in learner.model.policy.parameters()),
        device=str(learner.model.device),
        threads=run.threads,
        versions=versions(),
    )

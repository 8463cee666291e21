"""The end of a run: select the agent, evaluate it and write the result."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rl_larnn.agents.evaluation.evaluate import Evaluation, ResetEveryStep, evaluate
from rl_larnn.agents.evaluation.load import load_run
from rl_larnn.agents.runs.checkpoint import save_model
from rl_larnn.agents.runs.folder import RESULT
from rl_larnn.agents.runs.results import versions
from rl_larnn.agents.training.selection import final_selection, promote
from rl_larnn.agents.training.session import Session
from rl_larnn.files import write_json


@dataclass(frozen=True)
class Run:
    """A finished run.

    :param folder: its run folder
    :param settings: ``Settings`` of an online run, ``OfflineSettings`` of an offline one
    :param result: ``OnlineResult`` or ``OfflineResult``
    """

    folder: Path
    settings: Any
    result: Any
    evaluation: Evaluation


def finish(session: Session, settings: Any) -> Run:
    """Select, save and evaluate the agent after training.

    :param settings: for :attr:`Run.settings`
    """
    run, learner, progress, folder = session.settings, session.learner, session.progress, session.folder
    wall_s = progress.wall_s
    means = final_selection(session)
    best = next(iter(means), None)
    if best is None:
        save_model(learner.model, folder)
    else:
        promote(best, folder)
    loaded = load_run(folder, device=run.device)
    evaluation = evaluate(loaded.model, loaded.make_environments, run.eval_episodes)
    reset = evaluate(ResetEveryStep(loaded.model), loaded.make_environments, run.eval_episodes)
    result = learner.result(
        evaluation,
        progress,
        **{name: getattr(run, name) for name in ("env", "memory", "seed", "eval_episodes", "threads")},
        wall_s=round(wall_s, 3),
        best_at=learner.done if best is None else best.steps,
        final_selection=[[found.steps, mean] for found, mean in means.items()] if len(means) > 1 else [],
        mean_return=evaluation.mean,
        std_return=evaluation.std,
        mean_return_reset=reset.mean,
        evaluations=[list(found) for found in progress.evaluations],
        parameters=sum(parameter.numel() for parameter in learner.model.policy.parameters()),
        device=str(learner.model.device),
        versions=versions(),
    )
    write_json(folder / RESULT, result.to_json())
    return Run(folder, settings, result, evaluation)

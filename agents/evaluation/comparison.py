"""Runs of one task and method under different settings: which settings differ, and the scores under each choice."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rl_larnn.agents.algorithms import ALGORITHMS, keyword_parameters
from rl_larnn.agents.reporting.tables import markdown_table
from rl_larnn.agents.runs.folder import RESULT, load_settings, was_offline
from rl_larnn.agents.runs.results import read_result, score
from rl_larnn.agents.settings.config import Settings
from rl_larnn.agents.settings.values import format_value
from rl_larnn.errors import UserError
from rl_larnn.memories import find_memory


@dataclass(frozen=True)
class FinishedRun:
    """A finished run.

    :param evaluations: steps and mean return of each evaluation during training
    :param best: mean return of the best agent, over fresh episodes
    """

    settings: Settings
    evaluations: Sequence[Sequence[float]]
    best: float

    @property
    def score(self) -> float:
        """The mean return at the end of training, as in a suite; NaN without evaluations."""
        return score(self.evaluations) if self.evaluations else math.nan

    @property
    def mean_return(self) -> float:
        """The mean over all evaluations, higher for an agent that was good sooner; NaN without evaluations."""
        return sum(mean for _, mean in self.evaluations) / len(self.evaluations) if self.evaluations else math.nan

    def steps_to(self, target: float) -> float:
        """Steps before the first evaluation whose mean return is the target or more; infinite if there is none."""
        return min((steps for steps, mean in self.evaluations if mean >= target), default=math.inf)


def read_run(folder: Path) -> FinishedRun:
    """A run from its folder.

    :raises UserError: if it is not a finished run, or one that learned from data
    """
    settings = load_settings(folder)
    if was_offline(folder):
        raise UserError(f"the run {folder} learned from data: only runs online are compared here")
    if not (folder / RESULT).exists():
        raise UserError(f"the run {folder} is not finished; go on with: --resume {folder}")
    result = read_result(folder)
    return FinishedRun(settings, result["evaluations"], result["mean_return"])


def comparison_tables(runs: Iterable[FinishedRun], target: float | None = None) -> str:
    """Markdown: a table per task and method; a column per setting that differs, a row per choice, the best score first.

    :param target: a mean return; also shown is after how many steps an evaluation reached it
    """
    groups: dict[tuple[str, str], list[FinishedRun]] = defaultdict(list)
    for run in runs:
        groups[run.settings.env, run.settings.method].append(run)
    return "\n\n".join(f"### {env}, {method}\n\n{_table(group, target)}" for (env, method), group in groups.items())


def _table(runs: Sequence[FinishedRun], target: float | None) -> str:
    chosen = [_choices(run.settings) for run in runs]
    names = dict.fromkeys(name for choices in chosen for name in choices)
    differing = [name for name in names if len({choices.get(name, "") for choices in chosen}) > 1]
    groups: dict[tuple[str, ...], list[FinishedRun]] = defaultdict(list)
    for run, choices in zip(runs, chosen, strict=True):
        groups[tuple(choices.get(name, "") for name in differing)].append(run)
    ranked = sorted(groups.items(), key=lambda item: _scores(item[1])[:2], reverse=True)
    reached = [] if target is None else [f"steps to {target:g} (most)"]
    header = [*differing, "seeds", "score", "worst", "whole run", *reached, "best agents"]
    rows = ([*values, *_cells(group, target)] for values, group in ranked)
    return markdown_table(header, rows, text_columns=len(differing) + 1)


def _choices(settings: Settings) -> dict[str, str]:
    """All settings of a run as text, defaults among them.

    Runs that started from runs in the same folder made the same choice of ``init``: these differ in their seeds.
    """
    row = ALGORITHMS[settings.algorithm]
    owners: list[type] = [row.learner, row.policy]
    owners += [find_memory(settings.memory)] if settings.memory is not None else []
    parameters = (parameter for owner in owners for parameter, _ in keyword_parameters(owner).values())
    plain = bool | int | float | str | None
    defaults = {item.name: item.default for item in parameters if isinstance(item.default, plain)}
    chosen: dict[str, Any] = {"algorithm": settings.algorithm, **settings.choices()}
    chosen["env_kwargs"] = " ".join(f"{key}={format_value(value)}" for key, value in settings.env_kwargs.items())
    chosen["init"] = "" if settings.init is None else str(Path(settings.init).parent)
    ordered = {**chosen, **defaults, **chosen}  # defaults come last
    return {name: value if isinstance(value, str) else format_value(value) for name, value in ordered.items()}


def _scores(runs: Sequence[FinishedRun]) -> tuple[float, float, float]:
    """Mean score, mean over the whole run and lowest score; minus infinity without evaluations, which comes last."""
    evaluated = [run for run in runs if run.evaluations]
    if not evaluated:
        return -math.inf, -math.inf, -math.inf
    scores = [run.score for run in evaluated]
    return float(np.mean(scores)), float(np.mean([run.mean_return for run in evaluated])), min(scores)


def _cells(runs: Sequence[FinishedRun], target: float | None) -> list[str | None]:
    seeds = " ".join(str(seed) for seed in sorted(run.settings.seed for run in runs))
    mean, whole, worst = _scores(runs)
    figures = [None if value == -math.inf else f"{value:.4g}" for value in (mean, worst, whole)]
    reached = [] if target is None else [_steps([run.steps_to(target) for run in runs])]
    return [seeds, *figures, *reached, f"{np.mean([run.best for run in runs]):.4g}"]


def _steps(steps: Sequence[float]) -> str:
    """Mean and most steps; where some runs never reached the target, how many did, and the steps of these."""
    reached = [number for number in steps if math.isfinite(number)]
    if not reached:
        return "never"
    short = "" if len(reached) == len(steps) else f"{len(reached)} of {len(steps)}: "
    return f"{short}{np.mean(reached):,.0f} ({max(reached):,.0f})"

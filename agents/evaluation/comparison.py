"""Runs of one task and memory under different settings, side by side: what a change of a setting is worth."""

from __future__ import annotations

import inspect
import math
import re
import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from rl_larnn.agents.algorithms import ALGORITHMS, BASELINES, OURS
from rl_larnn.agents.runs.folder import RESULT
from rl_larnn.agents.runs.results import score
from rl_larnn.agents.runs.settings_file import begun_with, load_settings, was_offline
from rl_larnn.agents.settings.config import Settings, TrainConfig, resolve
from rl_larnn.agents.settings.memory_names import memory_class
from rl_larnn.agents.settings.values import format_value
from rl_larnn.errors import UserError
from rl_larnn.files import read_json
from rl_larnn.policies import MemoryActorCriticPolicy

#: What is no setting, by the names that stand for it in a table.
_ARGUMENTS, _INIT = "arguments", "init"


@dataclass(frozen=True)
class Trained:
    """A finished run.

    :param trials: steps and mean return of each trial during training
    :param best: mean return of the best agent, over fresh episodes
    """

    settings: Settings
    trials: Sequence[Sequence[float]]
    best: float

    @property
    def score(self) -> float:
        """How the run ended, as in a suite; NaN without trials."""
        return score(self.trials) if self.trials else math.nan

    @property
    def whole(self) -> float:
        """How soon and how steadily it was good: the mean over all trials; NaN without trials."""
        return sum(mean for _, mean in self.trials) / len(self.trials) if self.trials else math.nan

    def steps_to(self, target: float) -> float:
        """Steps before the first trial whose mean return is the target or more; infinite if there is none."""
        return min((steps for steps, mean in self.trials if mean >= target), default=math.inf)


def read_run(folder: Path) -> Trained:
    """A run from its folder.

    :raises UserError: if it is not a finished run, or one that learned from data
    """
    settings = load_settings(folder)
    if was_offline(folder):
        raise UserError(f"the run {folder} learned from data: only runs online are compared here")
    if not (folder / RESULT).exists():
        raise UserError(f"the run {folder} is not finished; go on with: --resume {folder}")
    result = read_json(folder / RESULT, "the result of a run")
    return Trained(settings, result["trials"], result["mean_return"])


def comparison_tables(runs: Iterable[Trained], target: float | None = None) -> str:
    """Markdown: a table per task and memory, a row per choice of settings, best mean score first, or whole run.

    A row says only in what it differs from most others of its table; its command, in what it differs from the recipe.
    Runs to begin with that differ in their seeds only are one choice.

    :param target: a mean return; also told is after how many steps a trial had it
    """
    groups: dict[tuple[str, str], list[Trained]] = defaultdict(list)
    for run in runs:
        groups[run.settings.env, run.settings.method].append(run)
    return "\n\n".join(_table(env, memory, group, target) for (env, memory), group in groups.items())


def _table(env: str, memory: str, runs: Sequence[Trained], target: float | None) -> str:
    choices = [_choices(run.settings) for run in runs]
    names = list(dict.fromkeys(name for own in choices for name in own))
    defaults = _defaults(memory)
    choices = [{name: own.get(name, defaults.get(name)) for name in names} for own in choices]
    varied = [name for name in names if len({_text(own, name) for own in choices}) > 1]
    by_choice: dict[tuple[str, ...], list[Trained]] = defaultdict(list)
    for run, own in zip(runs, choices, strict=True):
        by_choice[tuple(_text(own, name) for name in varied)].append(run)
    usual = _usual(varied, list(by_choice))
    ranked = [_row(_label(varied, values, usual), own, target) for values, own in by_choice.items()]
    rows = [row for _, row in sorted(ranked, key=lambda pair: pair[0], reverse=True)]
    shared = ", ".join(f"{name}={value}" for name, value in usual.items() if value)
    said = [f"Where a row says nothing else: {shared}.", ""] if shared else []
    reached = [] if target is None else [f"steps to {target:g} (most)"]
    names = ["settings", "seeds", "score", "worst", "whole run", *reached, "best agents", "command"]
    head = [f"| {' | '.join(names)} |", f"|{' --- |' * len(names)}"]
    return "\n".join([f"### {env}, {memory}", "", *said, *head, *rows])


def _usual(varied: Sequence[str], rows: Sequence[Sequence[str]]) -> dict[str, str]:
    """What most rows have in common, by the names of settings."""
    found = {}
    for name, values in zip(varied, zip(*rows, strict=True), strict=True):
        value, count = Counter(values).most_common(1)[0]
        if 2 * count > len(rows):
            found[name] = value
    return found


def _label(varied: Sequence[str], values: Sequence[str], usual: Mapping[str, str]) -> str:
    """In what a row differs from most others; what these have and it has not is ``none``."""
    pairs = [(name, value) for name, value in zip(varied, values, strict=True) if usual.get(name, "") != value]
    return ", ".join(f"{name}={value or 'none'}" for name, value in pairs) or (
        "(as most)" if any(usual.values()) else "(one)"
    )


def _row(label: str, runs: Sequence[Trained], target: float | None) -> tuple[tuple[float, float], str]:
    scored = [run for run in runs if run.trials]
    seeds = " ".join(str(seed) for seed in sorted(run.settings.seed for run in runs))
    rank, figures = (-math.inf, -math.inf), " | | "
    if scored:
        rank = float(np.mean([run.score for run in scored])), float(np.mean([run.whole for run in scored]))
        figures = f"{rank[0]:.4g} | {min(run.score for run in scored):.4g} | {rank[1]:.4g}"
    if target is not None:
        figures += f" | {_steps([run.steps_to(target) for run in runs])}"
    best = np.mean([run.best for run in runs])
    return rank, f"| {label} | {seeds} | {figures} | {best:.4g} | `{command(runs[0].settings)}` |"


def _steps(steps: Sequence[float]) -> str:
    """Mean and most steps; where some runs never got there, how many did, and what these took."""
    there = [number for number in steps if math.isfinite(number)]
    if not there:
        return "never"
    short = "" if len(there) == len(steps) else f"{len(there)} of {len(steps)}: "
    return f"{short}{np.mean(there):,.0f} ({max(there):,.0f})"


def command(settings: Settings) -> str:
    """What to type for such a run, apart from the seed, with the recipe as it is today."""
    usual, own = _recipe(settings.env, settings.method, settings.init), _choices(settings)
    own = {name: value for name, value in _defaults(settings.method).items() if name in usual} | own
    parts = ["python", "scripts/train_agent.py", "--env", settings.env, "--memory", settings.method]
    for name in dict.fromkeys([*own, *usual]):
        if name in own and _text(own, name) != _text(usual, name):
            parts += _as_typed(name, own[name] if name == _INIT else _text(own, name))
    return shlex.join(parts)


def _as_typed(name: str, text: str) -> list[str]:
    if name == _ARGUMENTS:
        return ["--env-kwargs", *text.split()]
    flags = {"n_timesteps": "-n", "n_envs": "--n-envs", _INIT: "--init"}
    return [flags[name], text] if name in flags else ["--set", f"{name}={text}"]


def _choices(settings: Settings) -> dict[str, Any]:
    """The settings of a run, and what else was given: arguments of the environment, a run to begin with."""
    arguments = " ".join(f"{key}={format_value(value)}" for key, value in settings.env_kwargs.items())
    more = {_ARGUMENTS: arguments, _INIT: settings.init}
    return {**settings.choices(), **{name: value for name, value in more.items() if value}}


@cache
def _recipe(env: str, memory: str, init: str | None) -> dict[str, Any]:
    """What would be chosen today; finding out makes the environment, so it is done once.

    :param init: a run to begin with, which chooses for itself, if it is still there
    """
    known = init if init is not None and Path(init).exists() else None
    return resolve(TrainConfig(env, memory, init=known), begun_with(known)).choices()


def _defaults(memory: str) -> dict[str, Any]:
    """What the arguments of agent, policy and memory are where nobody says anything."""
    owners: list[Any] = [ALGORITHMS[memory if memory in BASELINES else OURS].learner, MemoryActorCriticPolicy]
    if memory not in BASELINES:
        owners.append(memory_class(memory))
    found = (parameter for owner in owners for parameter in inspect.signature(owner).parameters.values())
    return {parameter.name: parameter.default for parameter in found if _is_plain(parameter.default)}


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str)


def _text(choices: dict[str, Any], name: str) -> str:
    """A setting as it is typed; nothing for one that was not made."""
    if name == _INIT:
        return re.sub(r"-s\d+(-\d+)?$", "-s*", str(choices.get(name) or ""))
    if name == _ARGUMENTS:
        return str(choices.get(name) or "")
    return format_value(choices[name]) if name in choices else ""

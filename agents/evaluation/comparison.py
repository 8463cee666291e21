"""Runs of one task and memory under different settings, side by side: what a change of a setting is worth."""

from __future__ import annotations

import inspect
import math
import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from rl_larnn.agents.baselines import BASELINES, algorithm_of
from rl_larnn.agents.config import Settings, TrainConfig, load_settings, resolve
from rl_larnn.agents.errors import UserError
from rl_larnn.agents.memory_choice import memory_class
from rl_larnn.agents.results import score
from rl_larnn.agents.runs import RESULT, read_json
from rl_larnn.agents.values import format_value
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


def read_run(folder: Path) -> Trained:
    """A run from its folder.

    :raises UserError: if it is not a finished run
    """
    settings = load_settings(folder)
    if not (folder / RESULT).exists():
        raise UserError(f"the run {folder} is not finished; go on with: --resume {folder}")
    result = read_json(folder / RESULT, "the result of a run")
    return Trained(settings, result["trials"], result["mean_return"])


def comparison_tables(runs: Iterable[Trained]) -> str:
    """Markdown: a table per task and memory, a row per choice of settings, best mean score first, or whole run.

    A row says only in what it differs from most others of its table; its command, in what it differs from the recipe.
    """
    groups: dict[tuple[str, str], list[Trained]] = defaultdict(list)
    for run in runs:
        groups[run.settings.env, run.settings.memory].append(run)
    return "\n\n".join(_table(env, memory, group) for (env, memory), group in groups.items())


def _table(env: str, memory: str, runs: Sequence[Trained]) -> str:
    choices = [_choices(run.settings) for run in runs]
    names = list(dict.fromkeys(name for own in choices for name in own))
    defaults = _defaults(memory)
    choices = [{name: own.get(name, defaults.get(name)) for name in names} for own in choices]
    varied = [name for name in names if len({_text(own, name) for own in choices}) > 1]
    by_choice: dict[tuple[str, ...], list[Trained]] = defaultdict(list)
    for run, own in zip(runs, choices, strict=True):
        by_choice[tuple(_text(own, name) for name in varied)].append(run)
    usual = _usual(varied, list(by_choice))
    ranked = [_row(_label(varied, values, usual), own) for values, own in by_choice.items()]
    rows = [row for _, row in sorted(ranked, key=lambda pair: pair[0], reverse=True)]
    shared = ", ".join(f"{name}={value}" for name, value in usual.items() if value)
    said = [f"Where a row says nothing else: {shared}.", ""] if shared else []
    head = "| settings | seeds | score | worst | whole run | best agents | command |"
    return "\n".join([f"### {env}, {memory}", "", *said, head, "| --- | --- | --- | --- | --- | --- | --- |", *rows])


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


def _row(label: str, runs: Sequence[Trained]) -> tuple[tuple[float, float], str]:
    scored = [run for run in runs if run.trials]
    seeds = " ".join(str(seed) for seed in sorted(run.settings.seed for run in runs))
    rank, figures = (-math.inf, -math.inf), " | | "
    if scored:
        rank = float(np.mean([run.score for run in scored])), float(np.mean([run.whole for run in scored]))
        figures = f"{rank[0]:.4g} | {min(run.score for run in scored):.4g} | {rank[1]:.4g}"
    best = np.mean([run.best for run in runs])
    return rank, f"| {label} | {seeds} | {figures} | {best:.4g} | `{command(runs[0].settings)}` |"


def command(settings: Settings) -> str:
    """What to type for such a run, apart from the seed, with the recipe as it is today."""
    usual, own = _recipe(settings.env, settings.memory), _choices(settings)
    own = {name: value for name, value in _defaults(settings.memory).items() if name in usual} | own
    parts = ["python", "scripts/train_agent.py", "--env", settings.env, "--memory", settings.memory]
    for name in dict.fromkeys([*own, *usual]):
        if name in own and _text(own, name) != _text(usual, name):
            parts += _as_typed(name, _text(own, name))
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
def _recipe(env: str, memory: str) -> dict[str, Any]:
    """What would be chosen today; finding out makes the environment, so it is done once."""
    return resolve(TrainConfig(env, memory)).choices()


def _defaults(memory: str) -> dict[str, Any]:
    """What the arguments of agent, policy and memory are where nobody says anything."""
    owners: list[Any] = [algorithm_of(memory), MemoryActorCriticPolicy]
    if memory not in BASELINES:
        owners.append(memory_class(memory))
    found = (parameter for owner in owners for parameter in inspect.signature(owner).parameters.values())
    return {parameter.name: parameter.default for parameter in found if _is_plain(parameter.default)}


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str)


def _text(choices: dict[str, Any], name: str) -> str:
    """A setting as it is typed; nothing for one that was not made."""
    if name in (_ARGUMENTS, _INIT):
        return str(choices.get(name) or "")
    return format_value(choices[name]) if name in choices else ""

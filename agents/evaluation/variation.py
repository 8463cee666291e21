"""Agents on variants of their task that they were not trained on: a longer corridor, another gravity."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rl_larnn.agents.evaluation.evaluate import Evaluation, evaluate
from rl_larnn.agents.evaluation.load import EVALUATION_ENVS, LoadedRun
from rl_larnn.agents.reporting.csv_rows import read_rows, write_rows
from rl_larnn.agents.reporting.markdown import markdown_table
from rl_larnn.agents.reporting.reporter import SILENT, Reporter
from rl_larnn.agents.reporting.styles import figure_class, styles
from rl_larnn.agents.settings.values import format_value
from rl_larnn.envs import find_task
from rl_larnn.errors import UserError
from rl_larnn.files import replacing


@dataclass(frozen=True)
class Variant:
    """One agent on one variant.

    :param run: the last three parts of the run's folder, such as ``runs/TMazePassive-50-v0/aaren-s0``
    :param argument: the argument of the environment that varies
    :param fixed: its other arguments that were set, as they are typed
    :param value: what it was
    :param mean: mean return of the episodes
    :param worst: lowest return
    """

    env: str
    run: str
    memory: str
    seed: int
    argument: str
    value: float
    fixed: str
    episodes: int
    mean: float
    worst: float

    @property
    def key(self) -> tuple[str, str, float]:
        """Identifies it among those of the same task and argument."""
        return self.run, self.fixed, self.value


def evaluate_variants(
    runs: Sequence[LoadedRun],
    argument: str,
    values: Sequence[float],
    episodes: int,
    done: Iterable[Variant] = (),
    save: Callable[[list[Variant]], None] = lambda _: None,
    env_kwargs: Mapping[str, Any] | None = None,
    reporter: Reporter = SILENT,
) -> list[Variant]:
    """Evaluate every run at every value of an argument of its environment, without any further training.

    :param done: variants known already; those of as many episodes are not evaluated again
    :param save: called with all variants so far after each new one
    :param env_kwargs: other arguments of the environment, over those of the runs
    :raises UserError: for runs of different environments, or an argument or value that the environment refuses
    """
    environments = sorted({run.settings.env for run in runs})
    if len(environments) != 1:
        raise UserError(f"expected runs of one environment, got {', '.join(environments) or 'no run'}")
    found = list(done)
    if any((variant.env, variant.argument) != (environments[0], argument) for variant in found):
        raise UserError(f"expected variants of {environments[0]} by {argument}, got those of {found[0].env} by "
                        f"{found[0].argument}")  # fmt: skip
    fixed = " ".join(f"{key}={format_value(value)}" for key, value in sorted((env_kwargs or {}).items()))
    names = ["/".join(run.folder.resolve().parts[-3:]) for run in runs]
    if len(set(names)) < len(names):
        raise UserError(f"expected each run once, and folders whose last three parts differ, got {', '.join(names)}")
    pairs = [(value, run, name) for value in dict.fromkeys(values) for run, name in zip(runs, names, strict=True)]
    with reporter.progress(len(pairs), "evaluations") as bar:
        for value, run, name in pairs:
            settings, key = run.settings, (name, fixed, float(value))
            before = next((variant for variant in found if variant.key == key), None)
            if before is None or before.episodes != episodes:
                found = [variant for variant in found if variant is not before]
                whole = int(value) if value == int(value) else value
                result = _evaluate(run, {**(env_kwargs or {}), argument: whole}, episodes)
                identity = (settings.env, name, settings.method, settings.seed, argument, float(value), fixed)
                found.append(Variant(*identity, len(result.returns), result.mean, result.worst))
                save(found)
            bar.advance()
    return found


def _evaluate(run: LoadedRun, env_kwargs: Mapping[str, Any], episodes: int) -> Evaluation:
    n_envs = min(episodes, EVALUATION_ENVS)
    return evaluate(run.model, lambda: run.make_environments(n_envs, env_kwargs=env_kwargs), episodes)


def write_variants(path: Path, variants: Sequence[Variant]) -> None:
    """Write a table, one row per agent and value."""
    write_rows(path, Variant, variants)


def read_variants(path: Path) -> list[Variant]:
    """Read such a table.

    :raises UserError: if it is not one
    """
    return read_rows(path, Variant)


def variants_table(variants: Sequence[Variant]) -> str:
    """Markdown: per memory and value the mean over seeds, and behind it the worst seed."""
    values = sorted({variant.value for variant in variants})
    header = ["memory", "seeds", *(f"{variants[0].argument} {value:,.0f}" for value in values)]
    rows = []
    for memory, by_value in _by_memory(variants).items():
        seeds = len({variant.seed for variant in variants if variant.memory == memory})
        cells = [f"{np.mean(by_value[v]):.3f} ({min(by_value[v]):.3f})" if v in by_value else None for v in values]
        rows.append([memory, seeds, *cells])
    return markdown_table(header, rows, text_columns=None)


def draw_variants(path: Path, variants: Sequence[Variant]) -> None:
    """A line per memory through the means over seeds, with a band from the worst seed to the best.

    :raises UserError: if matplotlib is missing
    """
    figure = figure_class()(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    means = _by_memory(variants)
    looks = styles(list(means))
    for memory, by_value in means.items():
        values = sorted(by_value)
        axes.plot(values, [np.mean(by_value[value]) for value in values], label=memory, **looks[memory])
        low, high = ([pick(by_value[value]) for value in values] for pick in (min, max))
        axes.fill_between(values, low, high, color=looks[memory]["color"], alpha=0.12, linewidth=0)
    task = find_task(variants[0].env)
    if task is not None:
        for bound in (task.floor, task.ceiling):
            axes.axhline(bound.value, color="0.5", linestyle="--", linewidth=1)
    values = sorted({variant.value for variant in variants})
    if values[0] > 0 and values[-1] >= 30 * values[0]:
        axes.set_xscale("log")
    axes.set_xlabel(variants[0].argument)
    axes.set_ylabel("mean return; dashed: floor and ceiling")
    axes.set_title(f"{variants[0].env}, not trained further: mean over seeds, band from worst to best")
    axes.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=120, format=path.suffix[1:] or "png")


def _by_memory(variants: Sequence[Variant]) -> dict[str, dict[float, list[float]]]:
    """Per memory and value the mean return of each seed."""
    found: dict[str, dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    for variant in variants:
        found[variant.memory][variant.value].append(variant.mean)
    return found

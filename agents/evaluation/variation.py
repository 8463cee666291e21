"""Agents on variants of their task that they were not trained on: a longer corridor, another gravity."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from rl_larnn.agents.evaluation.evaluate import evaluate
from rl_larnn.agents.evaluation.load import EVALUATION_ENVS, LoadedRun
from rl_larnn.agents.reporting.reporter import SILENT, Reporter
from rl_larnn.agents.reporting.tables import markdown_table
from rl_larnn.agents.settings.values import format_value
from rl_larnn.errors import UserError


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
    found = {variant.key: variant for variant in done}
    for env, other in dict.fromkeys((variant.env, variant.argument) for variant in found.values()):
        if (env, other) != (environments[0], argument):
            raise UserError(f"expected variants of {environments[0]} by {argument}, got those of {env} by {other}")
    fixed = " ".join(f"{key}={format_value(value)}" for key, value in sorted((env_kwargs or {}).items()))
    names = ["/".join(run.folder.resolve().parts[-3:]) for run in runs]
    if len(set(names)) < len(names):
        raise UserError(f"expected each run once, and folders whose last three parts differ, got {', '.join(names)}")
    pairs = [(value, run, name) for value in dict.fromkeys(values) for run, name in zip(runs, names, strict=True)]
    with reporter.progress(len(pairs), "evaluations") as bar:
        for value, run, name in pairs:
            settings, key = run.settings, (name, fixed, float(value))
            if key not in found or found[key].episodes != episodes:
                found.pop(key, None)
                whole = int(value) if value == int(value) else value
                kwargs = {**(env_kwargs or {}), argument: whole}
                make = partial(run.make_environments, min(episodes, EVALUATION_ENVS), env_kwargs=kwargs)
                result = evaluate(run.model, make, episodes)
                identity = (settings.env, name, settings.method, settings.seed, argument, float(value), fixed)
                found[key] = Variant(*identity, len(result.returns), result.mean, result.worst)
                save(list(found.values()))
            bar.advance()
    return list(found.values())


def variants_table(variants: Sequence[Variant]) -> str:
    """Markdown: per memory and value the mean over seeds, and behind it the worst seed."""
    values = sorted({variant.value for variant in variants})
    header = ["memory", "seeds", *(f"{variants[0].argument} {value:,.0f}" for value in values)]
    rows = []
    for memory, by_value in by_memory(variants).items():
        seeds = len({variant.seed for variant in variants if variant.memory == memory})
        cells = [f"{np.mean(by_value[v]):.3f} ({min(by_value[v]):.3f})" if v in by_value else None for v in values]
        rows.append([memory, seeds, *cells])
    return markdown_table(header, rows, text_columns=None)


def by_memory(variants: Sequence[Variant]) -> dict[str, dict[float, list[float]]]:
    """Per memory and value the mean return of each seed."""
    found: dict[str, dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    for variant in variants:
        found[variant.memory][variant.value].append(variant.mean)
    return found

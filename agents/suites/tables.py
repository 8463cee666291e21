"""The tables of a suite in Markdown: one line per method, and one line per task for gains and for scores."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

import numpy as np

from rl_larnn.agents.suites.records import RunRecord
from rl_larnn.agents.suites.statistics import Estimate, interquartile_mean, pooled_interquartile_mean
from rl_larnn.agents.suites.suite_results import SuiteResults, equal_steps, scaled_task
from rl_larnn.envs import Bound, find_task

#: In place of what was not run or is not known.
MISSING = "\N{EN DASH}"

#: Behind the name of a task that the text below the table comes back to.
MARK = "†"


def summary_table(records: Iterable[RunRecord]) -> str:
    """Per method the memory gain over all tasks, best first, in Markdown.

    Tasks without a known floor and ceiling are left out.

    :raises UserError: if SciPy is missing
    """
    results = SuiteResults(records)
    rows = sorted((_summary_row(results, name) for name in results.methods), key=lambda row: -row[0])
    header = ["memory", "gain, IQM (95 % interval)", "mean", "worst run", "tasks", "runs", "steps/s (median)"]
    return markdown_table(header, [cells for _, cells in rows])


def gain_table(results: SuiteResults, marked: Collection[str]) -> str:
    """Tasks with a scale against methods: interquartile mean of the gain over seeds, and the worst seed.

    :param marked: tasks to put a :data:`MARK` behind
    """
    gains = {name: results.gains(name) for name in results.methods}
    rows = []
    for task in filter(scaled_task, results.tasks):
        rows.append([_label(task, marked), *_cells([own.get(task) for own in gains.values()], _gain)])
    return markdown_table(["task", *(f"`{name}`" for name in gains)], rows)


def score_table(results: SuiteResults, marked: Collection[str]) -> str:
    """All tasks against methods: interquartile mean of the score over seeds, the worst seed, steps and bounds.

    :param marked: tasks to put a :data:`MARK` behind
    """
    scores = {name: results.scores(name) for name in results.methods}
    rows = []
    for task in results.tasks:
        found = find_task(task)
        bounds = [MISSING] * 3 if found is None else [_bound(own) for own in (found.random, found.floor, found.ceiling)]
        cells = _cells([own.get(task) for own in scores.values()], number)
        rows.append([_label(task, marked), _steps(results, task), *bounds, *cells])
    return markdown_table(["task", "steps", "random", "floor", "ceiling", *(f"`{name}`" for name in scores)], rows)


def kept_table(results: SuiteResults) -> str:
    """All tasks against methods: mean over seeds of what the kept agents get, and the worst seed."""
    kept = {name: results.kept(name) for name in results.methods}
    rows = [[task, *(_mean_and_worst(own.get(task)) for own in kept.values())] for task in results.tasks]
    return markdown_table(["task", *(f"`{name}`" for name in kept)], rows)


def number(value: float) -> str:
    """A score to four digits, or to whole ones where it has more."""
    text = f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return "0" if text == "-0" else text


def _summary_row(results: SuiteResults, name: str) -> tuple[float, list[str]]:
    """What the row is sorted by, and its cells."""
    gains = results.gains(name)
    pooled = [gain for own in gains.values() for gain in own]
    failed = sum(record.memory == name for record in results.failed)
    speeds = [run.steps_per_s for run in results.finished(name) if run.steps_per_s is not None]
    value, measured = -np.inf, [MISSING] * 3
    if gains:
        estimate = pooled_interquartile_mean(gains)
        value = estimate.value
        measured = [f"{_gain(value)} {_interval(estimate)}", _gain(float(np.mean(pooled))), _gain(min(pooled))]
    runs = f"{len(pooled)} ({failed} failed)" if failed else str(len(pooled))
    return value, [f"`{name}`", *measured, str(len(gains)), runs, f"{np.median(speeds):.0f}" if speeds else MISSING]


def _gain(value: float) -> str:
    return "0.00" if (text := f"{value:.2f}") == "-0.00" else text


def _interval(estimate: Estimate) -> str:
    if estimate.degenerate:
        return "(one seed: no interval)"
    return f"({_gain(estimate.low)} to {_gain(estimate.high)}{'' if estimate.reliable else ', unreliable'})"


def _cells(seeds: Sequence[Sequence[float] | None], text: Callable[[float], str]) -> list[str]:
    """One cell per method; the best are bold, all those that read the same as the best."""
    means = [None if own is None else interquartile_mean(own) for own in seeds]
    best = text(max((mean for mean in means if mean is not None), default=0.0))
    cells = []
    for own, mean in zip(seeds, means, strict=True):
        if own is None or mean is None:
            cells.append(MISSING)
            continue
        shown = f"**{text(mean)}**" if text(mean) == best else text(mean)
        cells.append(f"{shown} ({text(min(own))})" if len(own) > 1 else shown)
    return cells


def _mean_and_worst(seeds: Sequence[float] | None) -> str:
    if not seeds:
        return MISSING
    mean = number(float(np.mean(seeds)))
    return f"{mean} ({number(min(seeds))})" if len(seeds) > 1 else mean


def _steps(results: SuiteResults, task: str) -> str:
    """Steps of the task's runs in thousands: one figure, or the lowest and the highest where they are not equal."""
    found = [steps for name in results.methods if (steps := results.steps(name, task)) is not None]
    if not found:
        return MISSING
    low, high = (f"{steps / 1000:.0f}k" if steps >= 1000 else f"{steps:.0f}" for steps in (min(found), max(found)))
    return low if equal_steps(min(found), max(found)) else f"{low} to {high}"


def _bound(bound: Bound) -> str:
    return number(bound.value) + (f" ± {bound.standard_error:.2g}" if bound.standard_error else "")


def _label(task: str, marked: Collection[str]) -> str:
    return f"{task} {MARK}" if task in marked else task


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose first column is text and whose others are numbers, in Markdown."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)

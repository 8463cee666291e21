"""The tables of a suite in Markdown: one row per method, or one row per task and one column per method."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np

from rl_larnn.agents.reporting.tables import markdown_table
from rl_larnn.agents.suites.statistics import Estimate, interquartile_mean, pooled_interquartile_mean
from rl_larnn.agents.suites.suite_results import SuiteResults, equal_steps, scaled_task
from rl_larnn.agents.suites.tasks import DatasetTask
from rl_larnn.envs import Bound, find_task

#: In place of what was not run or is not known.
MISSING = "\N{EN DASH}"

#: Behind the name of a task that the text below the table comes back to.
MARK = "†"


def gain_summary(results: SuiteResults) -> str:
    """Per method the memory gain over all tasks that have a floor and a ceiling, best first.

    :raises UserError: if SciPy is missing
    """
    rows = sorted((_gain_row(results, name) for name in results.methods), key=lambda row: -row[0])
    header = ["method", "gain, IQM (95 % interval)", "mean", "worst run", "tasks", "runs", "steps/s (median)"]
    return markdown_table(header, [cells for _, cells in rows], missing=MISSING)


def gain_table(results: SuiteResults, marked: Collection[str]) -> str:
    """Tasks with a floor and a ceiling: interquartile mean of the gain over seeds, and the worst seed.

    :param marked: tasks to put a :data:`MARK` behind
    """
    rows = {task: [_label(task, marked)] for task in results.tasks if scaled_task(task)}
    return _task_table(["task"], rows, {name: results.gains(name) for name in results.methods}, _gain)


def score_table(results: SuiteResults, marked: Collection[str]) -> str:
    """All tasks: steps, bounds, interquartile mean of the score over seeds, and the worst seed.

    :param marked: tasks to put a :data:`MARK` behind
    """
    rows = {}
    for task in results.tasks:
        found = find_task(task)
        bounds = [None] * 3 if found is None else [_bound(own) for own in (found.random, found.floor, found.ceiling)]
        rows[task] = [_label(task, marked), _steps(results, task), *bounds]
    scores = {name: results.scores(name) for name in results.methods}
    return _task_table(["task", "steps", "random", "floor", "ceiling"], rows, scores, number)


def return_table(results: SuiteResults) -> str:
    """All tasks: mean over seeds of the final agent's mean return, and the worst seed."""
    returns = {name: results.mean_returns(name) for name in results.methods}
    return _task_table(["task"], {task: [task] for task in results.tasks}, returns, number, _mean, bold=False)


def dataset_table(results: SuiteResults, tasks: Sequence[DatasetTask]) -> str:
    """These datasets: mean over seeds of the normalised score, and the worst seed."""
    scores = {name: results.scores(name) for name in results.methods}
    rows = {task.id: [task.id, task.updates] for task in tasks}
    return _task_table(["dataset", "updates"], rows, scores, _percent, _mean)


def dataset_summary(results: SuiteResults, tasks: Sequence[DatasetTask]) -> str:
    """Per method the mean score over the datasets of each kind; missing where the method has not finished them all."""
    kinds: dict[str, list[str]] = {}
    for task in tasks:
        if task.id in results.tasks:
            kinds.setdefault(task.kind, []).append(task.id)
    rows = []
    for name in results.methods:
        means = {task: _mean(scores) for task, scores in results.scores(name).items()}
        # A mean over fewer datasets than the others' would not be comparable.
        cells = [_percent(_mean([means[task] for task in own])) if means.keys() >= {*own} else None
                 for own in kinds.values()]  # fmt: skip
        rows.append([f"`{name}`", *cells])
    return markdown_table(["mean score over datasets", *kinds], rows, missing=MISSING)


def speed_table(results: SuiteResults) -> str:
    """Per method the updates per second and the number of parameters."""
    rows = []
    for name in results.methods:
        own = results.finished(name)
        sizes = sorted({run.parameters for run in own if run.parameters is not None})
        parameters = " to ".join(str(size) for size in dict.fromkeys((*sizes[:1], *sizes[-1:])))
        rows.append([f"`{name}`", _speed(results, name), parameters or None])
    return markdown_table(["", "updates/s (median)", "parameters"], rows, missing=MISSING)


def number(value: float) -> str:
    """A score to four digits, or to whole ones where it has more."""
    text = f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return "0" if text == "-0" else text


def _task_table(
    header: Sequence[str],
    rows: Mapping[str, Sequence[object]],
    values: Mapping[str, Mapping[str, Sequence[float]]],
    text: Callable[[float], str],
    middle: Callable[[Sequence[float]], float] = interquartile_mean,
    bold: bool = True,
) -> str:
    """One row per task, one column per method, each cell the middle of the seeds and, in brackets, the worst.

    :param rows: per task the first cells of its row, under ``header``
    :param values: per method and task a value for each seed
    :param bold: mark the best of a row, all those that read the same as the best
    """
    lines = []
    for task, first in rows.items():
        seeds = [own.get(task) for own in values.values()]
        means = [middle(own) for own in seeds if own]
        best = text(max(means)) if means and bold else None
        lines.append([*first, *(_cell(text(middle(own)), own, text, best) if own else None for own in seeds)])
    return markdown_table([*header, *(f"`{name}`" for name in values)], lines, missing=MISSING)


def _cell(mean: str, seeds: Sequence[float], text: Callable[[float], str], best: str | None) -> str:
    shown = f"**{mean}**" if mean == best else mean
    return f"{shown} ({text(min(seeds))})" if len(seeds) > 1 else shown


def _gain_row(results: SuiteResults, name: str) -> tuple[float, list[object]]:
    """What the row is sorted by, and its cells."""
    gains = results.gains(name)
    pooled = [gain for own in gains.values() for gain in own]
    failed = sum(record.method == name for record in results.failed)
    value, measured = -np.inf, list[str | None]((None, None, None))
    if gains:
        estimate = pooled_interquartile_mean(gains)
        value = estimate.value
        measured = [f"{_gain(value)} {_interval(estimate)}", _gain(_mean(pooled)), _gain(min(pooled))]
    runs = f"{len(pooled)} ({failed} failed)" if failed else len(pooled)
    return value, [f"`{name}`", *measured, len(gains), runs, _speed(results, name)]


def _speed(results: SuiteResults, name: str) -> str | None:
    speeds = [run.steps_per_s for run in results.finished(name) if run.steps_per_s is not None]
    return f"{np.median(speeds):.0f}" if speeds else None


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def _gain(value: float) -> str:
    return f"{value:z.2f}"


def _percent(value: float) -> str:
    return f"{value:z.1f}"


def _interval(estimate: Estimate) -> str:
    if estimate.degenerate:
        return "(one seed: no interval)"
    return f"({_gain(estimate.low)} to {_gain(estimate.high)}{'' if estimate.reliable else ', unreliable'})"


def _steps(results: SuiteResults, task: str) -> str | None:
    """Steps of the task's runs in thousands: one figure, or the lowest and the highest where they are not equal."""
    found = [steps for name in results.methods if (steps := results.steps(name, task)) is not None]
    if not found:
        return None
    low, high = (f"{steps / 1000:.0f}k" if steps >= 1000 else f"{steps:.0f}" for steps in (min(found), max(found)))
    return low if equal_steps(min(found), max(found)) else f"{low} to {high}"


def _bound(bound: Bound) -> str:
    return number(bound.value) + (f" ± {bound.standard_error:.2g}" if bound.standard_error else "")


def _label(task: str, marked: Collection[str]) -> str:
    return f"{task} {MARK}" if task in marked else task

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


_gain, _percent = "{:z.2f}".format, "{:z.1f}".format


def gain_summary(results: SuiteResults) -> str:
    """Per method the memory gain over all tasks that have a floor and a ceiling, best first.

    :raises UserError: if SciPy is missing
    """
    rows = []
    for name in results.methods:
        value, measured, gains = -np.inf, list[str | None]((None, None, None)), results.gains(name)
        pooled = [gain for own in gains.values() for gain in own]
        if gains:
            estimate = pooled_interquartile_mean(gains)
            value = estimate.value
            measured = [f"{_gain(value)} {_interval(estimate)}", _gain(np.mean(pooled)), _gain(min(pooled))]
        failed = sum(record.method == name for record in results.failed)
        runs = f"{len(pooled)} ({failed} failed)" if failed else len(pooled)
        rows.append((value, [f"`{name}`", *measured, len(gains), runs, _speed(results, name)]))
    rows.sort(key=lambda row: -row[0])
    header = ["method", "gain, IQM (95 % interval)", "mean", "worst run", "tasks", "runs", "steps/s (median)"]
    return markdown_table(header, [cells for _, cells in rows], missing=MISSING)


def gain_table(results: SuiteResults, marked: Collection[str]) -> str:
    """Tasks with a floor and a ceiling: interquartile mean of the gain over seeds, and the worst seed.

    :param marked: tasks to put a :data:`MARK` behind
    """
    rows = {task: [_label(task, marked)] for task in results.tasks if scaled_task(task)}
    return _task_table(["task"], rows, results.methods, results.gains, _gain)


def score_table(results: SuiteResults, marked: Collection[str]) -> str:
    """All tasks: steps, bounds, interquartile mean of the score over seeds, and the worst seed.

    :param marked: tasks to put a :data:`MARK` behind
    """
    rows = {}
    for task in results.tasks:
        found = find_task(task)
        bounds = [None] * 3 if found is None else [_bound(own) for own in (found.random, found.floor, found.ceiling)]
        rows[task] = [_label(task, marked), _steps(results, task), *bounds]
    header = ["task", "steps", "random", "floor", "ceiling"]
    return _task_table(header, rows, results.methods, results.scores, number)


def return_table(results: SuiteResults) -> str:
    """All tasks: mean over seeds of the final agent's mean return, and the worst seed."""
    rows = {task: [task] for task in results.tasks}
    return _task_table(["task"], rows, results.methods, results.mean_returns, number, np.mean, bold=False)


def dataset_table(results: SuiteResults, tasks: Sequence[DatasetTask]) -> str:
    """These datasets: mean over seeds of the normalised score, and the worst seed."""
    rows = {task.id: [task.id, task.updates] for task in tasks}
    return _task_table(["dataset", "updates"], rows, results.methods, results.scores, _percent, np.mean)


def dataset_summary(results: SuiteResults, tasks: Sequence[DatasetTask]) -> str:
    """Per method the mean score over the datasets of each kind; missing where the method has not finished them all."""
    kinds: dict[str, list[str]] = {}
    for task in tasks:
        if task.id in results.tasks:
            kinds.setdefault(task.kind, []).append(task.id)
    rows = []
    for name in results.methods:
        means = {task: np.mean(scores) for task, scores in results.scores(name).items()}
        # A mean over fewer datasets than the others' would not be comparable.
        whole = [own if means.keys() >= {*own} else None for own in kinds.values()]
        rows.append([f"`{name}`", *(own and _percent(np.mean([means[task] for task in own])) for own in whole)])
    return markdown_table(["mean score over datasets", *kinds], rows, missing=MISSING)


def speed_table(results: SuiteResults) -> str:
    """Per method the updates per second and the number of parameters."""
    rows = []
    for name in results.methods:
        sizes = sorted({run.parameters for run in results.finished(name) if run.parameters is not None})
        parameters = " to ".join(map(str, dict.fromkeys((*sizes[:1], *sizes[-1:]))))
        rows.append([f"`{name}`", _speed(results, name), parameters or None])
    return markdown_table(["", "updates/s (median)", "parameters"], rows, missing=MISSING)


def number(value: float) -> str:
    """A score to four digits, or to whole ones where it has more."""
    text = f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return "0" if text == "-0" else text


def _task_table(
    header: Sequence[str],
    rows: Mapping[str, Sequence[object]],
    methods: Sequence[str],
    values: Callable[[str], Mapping[str, Sequence[float]]],
    text: Callable[[float], str],
    middle: Callable[[Sequence[float]], float] = interquartile_mean,
    bold: bool = True,
) -> str:
    """One row per task, one column per method, each cell the middle of the seeds and, in brackets, the worst.

    :param rows: per task the first cells of its row, under ``header``
    :param values: from a method to, per task, a value for each seed
    :param bold: mark the best of a row, all those that read the same as the best
    """
    columns, lines = [values(name) for name in methods], []
    for task, cells in rows.items():
        seeds = [own.get(task) for own in columns]
        means = [middle(own) for own in seeds if own]
        best = text(max(means)) if means and bold else None
        lines.append([*cells, *(_cell(text(middle(own)), own, text, best) if own else None for own in seeds)])
    return markdown_table([*header, *(f"`{name}`" for name in methods)], lines, missing=MISSING)


def _cell(mean: str, seeds: Sequence[float], text: Callable[[float], str], best: str | None) -> str:
    shown = f"**{mean}**" if mean == best else mean
    return f"{shown} ({text(min(seeds))})" if len(seeds) > 1 else shown


def _speed(results: SuiteResults, name: str) -> str | None:
    speeds = [run.steps_per_s for run in results.finished(name) if run.steps_per_s is not None]
    return f"{np.median(speeds):.0f}" if speeds else None


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

"""The pictures of a suite: learning curves, profiles and probability of improvement, or scores on datasets.

Needs matplotlib (the ``plots`` extra).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rl_larnn.agents.reporting.styles import figure_class, styles
from rl_larnn.agents.suites.methods import BASELINES
from rl_larnn.agents.suites.records import CurvePoint
from rl_larnn.agents.suites.statistics import interquartile_means, performance_profile, probability_of_improvement
from rl_larnn.agents.suites.suite_results import SuiteResults
from rl_larnn.envs import find_task
from rl_larnn.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Opponents of the probability of improvement.
OPPONENTS = ("contrib-lstm", "ppo")

#: Lowest gain that profiles show: runs far below the floor would squeeze all others into a corner.
LOWEST_GAIN = -0.5


def draw_figures(folder: Path, results: SuiteResults, points: Sequence[CurvePoint]) -> list[str]:
    """Write the pictures that the runs allow.

    :return: their names in the folder: of ``curves.png``, ``profiles.png`` and ``improvement.png`` those there are
    :raises UserError: if matplotlib or SciPy is missing
    """
    drawings: dict[str, Callable[[Figure], bool]] = {
        "curves.png": lambda figure: _draw_curves(figure, results, points),
        "profiles.png": lambda figure: _draw_profiles(figure, results),
        "improvement.png": lambda figure: _draw_improvement(figure, results),
    }
    return [name for name, draw in drawings.items() if _draw(folder / name, draw)]


def draw_dataset_scores(folder: Path, results: SuiteResults, datasets: Sequence[str]) -> str:
    """Write a picture with one row per dataset, in it one line of marks per method, and one mark per seed.

    :return: its name in the folder
    :raises UserError: if matplotlib is missing
    """
    _draw(folder / "scores.png", lambda figure: _draw_marks(figure, results, datasets))
    return "scores.png"


def _draw(path: Path, draw: Callable[[Figure], bool]) -> bool:
    figure = figure_class()(layout="constrained")
    if not draw(figure):
        return False
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")
    return True


def _draw_marks(figure: Figure, results: SuiteResults, tasks: Sequence[str]) -> bool:
    looks = styles(results.methods)
    figure.set_size_inches(9, 1.2 + 0.55 * len(tasks))
    axes = figure.subplots()
    for number, (name, look) in enumerate(looks.items()):
        scores, offset = results.scores(name), 0.7 * (number / max(len(looks) - 1, 1) - 0.5)
        marks = [(score, place + offset) for place, task in enumerate(tasks) for score in scores.get(task, [])]
        mark = {"color": look["color"], "linestyle": "", "marker": look["marker"] or "|", "markersize": 4}
        axes.plot(*np.reshape(marks, (-1, 2)).T, label=name, **mark)
    for border in range(1, len(tasks)):
        axes.axhline(border - 0.5, color="0.9", linewidth=0.8)
    axes.set_yticks(range(len(tasks)), tasks)
    axes.set_ylim(len(tasks) - 0.5, -0.5)
    for reference in (0, 100):
        axes.axvline(reference, color="0.6", linewidth=0.8)
    axes.set_xlabel("normalised score, a mark per seed (0 random play, 100 expert)")
    figure.legend(loc="outside upper center", ncols=4, frameon=False)
    return True


def _draw_curves(figure: Figure, results: SuiteResults, points: Sequence[CurvePoint]) -> bool:
    """One panel per task with evaluations of finished runs; false if there is none."""
    finished = {run.key for run in results.records if run.score is not None}
    by_run: dict[tuple[str, str], dict[int, list[tuple[int, float]]]] = defaultdict(lambda: defaultdict(list))
    for point in sorted(points, key=lambda point: point.key):
        # A run that broke off would cut the curves of all seeds short.
        if (point.task, point.method, point.seed) in finished:
            by_run[point.task, point.method][point.seed].append((point.steps, point.score))
    tasks = [task for task in results.tasks if any(own == task for own, _ in by_run)]
    if not tasks:
        return False
    looks, columns = styles(results.methods), min(3, len(tasks))
    rows = -(-len(tasks) // columns)
    figure.set_size_inches(1.5 + 4.2 * columns if columns > 1 else 7, 1 + 2.7 * rows if rows > 1 else 4.5)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, task in zip(panels, tasks, strict=False):
        for name in results.methods:
            if (task, name) in by_run:
                _draw_curve(axes, list(by_run[task, name].values()), looks[name])
        if (found := find_task(task)) is not None:
            for label, bound in (("floor", found.floor), ("ceiling", found.ceiling)):
                axes.axhline(bound.value, color="0.25", linewidth=0.8)
                _write_beside(axes, bound.value, label)
        axes.set_title(task, fontsize=10)
        axes.xaxis.set_major_formatter(lambda steps, _: f"{steps / 1000:g}k" if steps else "0")
    for axes in panels[len(tasks) :]:
        axes.set_axis_off()
    figure.supxlabel("environment steps", fontsize=10)
    figure.supylabel("mean return of an evaluation", fontsize=10)
    _draw_legend(figure, looks)
    return True


def _draw_curve(axes: Axes, seeds: Sequence[Sequence[tuple[int, float]]], look: dict[str, Any]) -> None:
    """Interquartile mean over the seeds, and a band from the worst of them to the best, where all have evaluations."""
    curves = [np.array(seed, dtype=float) for seed in seeds]  # (evaluations, 2) each
    begin, end = max(curve[0, 0] for curve in curves), min(curve[-1, 0] for curve in curves)
    steps = np.unique(np.concatenate([curve[:, 0] for curve in curves]))
    steps = steps[(steps >= begin) & (steps <= end)]
    if not len(steps):
        return
    scores = np.stack([np.interp(steps, *curve.T) for curve in curves])
    band = (interquartile_means(scores.T), scores.min(0), scores.max(0))
    _draw_band(axes, steps, band, look, max(1, len(steps) // 6))


def _draw_band(axes: Axes, x: np.ndarray, band: Sequence[np.ndarray], look: dict[str, Any], markevery: int) -> None:
    """A line, and an area around it: ``band`` holds the middle, the lower and the upper end for each ``x``."""
    middle, low, high = band
    axes.plot(x, middle, markevery=markevery, **look)
    axes.fill_between(x, low, high, color=look["color"], alpha=0.1, linewidth=0)


def _draw_profiles(figure: Figure, results: SuiteResults) -> bool:
    """Ours and the baselines side by side; false if no task has a floor and a ceiling."""
    gains = {name: own for name in results.methods if (own := results.gains(name))}
    looks = {name: look for name, look in styles(results.methods).items() if name in gains}
    groups = [[name for name in gains if (name in BASELINES) is baseline] for baseline in (False, True)]
    groups = [group for group in groups if group]
    if not groups:
        return False
    figure.set_size_inches(1.5 + 5 * len(groups), 4.6)
    panels = figure.subplots(1, len(groups), squeeze=False, sharey=True).ravel()
    runs = [gain for own in gains.values() for seeds in own.values() for gain in seeds]
    thresholds = np.linspace(min(0, max(min(runs), LOWEST_GAIN)) - 0.05, max(1, *runs) + 0.05, 200)
    for axes, group in zip(panels, groups, strict=True):
        for name in group:
            profile = performance_profile(gains[name], thresholds)
            _draw_band(axes, thresholds, (profile.fraction, profile.low, profile.high), looks[name], 20)
        axes.set_title("baselines" if group[0] in BASELINES else "ours", fontsize=10)
        axes.set_xlim(thresholds[0], thresholds[-1])
        axes.set_ylim(-0.02, 1.02)
        axes.set_xlabel("memory gain (0: floor, 1: ceiling)")
    panels[0].set_ylabel("fraction of runs above it")
    _draw_legend(figure, looks)
    return True


def _draw_improvement(figure: Figure, results: SuiteResults) -> bool:
    """One panel of interval bars per opponent; false if there is nobody to compare with one."""
    looks, opponents = styles(results.methods), {}
    for opponent in OPPONENTS:
        pairs = {name: results.against(name, opponent) for name in results.methods if name != opponent}
        found = {name: probability_of_improvement(*pair) for name, pair in pairs.items() if pair[0]}
        if found:
            opponents[opponent] = found
    if not opponents:
        return False
    names = [name for name in results.methods if any(name in found for found in opponents.values())]
    figure.set_size_inches(2 + 4.5 * len(opponents), 1.4 + 0.36 * len(names))
    panels = figure.subplots(1, len(opponents), squeeze=False, sharey=True).ravel()
    for axes, (opponent, found) in zip(panels, opponents.items(), strict=True):
        axes.axvline(0.5, color="0.5", linewidth=0.8)
        for name, estimate in found.items():
            row, look = names.index(name), looks[name]
            caps = {"color": look["color"], "solid_capstyle": "butt"}  # the default sticks out over both ends
            axes.plot([estimate.low, estimate.high], [row, row], linewidth=7, alpha=0.4, **caps)
            axes.plot(estimate.value, row, marker=look["marker"] or "|", color=look["color"], markersize=8)
            _write_beside(axes, row, f"{estimate.value:.2f}" + ("" if estimate.reliable else ", few seeds"))
        axes.set_title(f"probability that a run beats {opponent}", fontsize=10)
        axes.set_xlim(-0.02, 1.02)
    panels[0].set_yticks(range(len(names)), names)
    panels[0].set_ylim(len(names) - 0.5, -0.5)
    return True


def _write_beside(axes: Axes, height: float, text: str) -> None:
    """Right of the panel, where no curve passes."""
    axes.annotate(text, (1.01, height), xycoords=("axes fraction", "data"), va="center", color="0.25", fontsize=7)


def _draw_legend(figure: Figure, looks: dict[str, dict[str, Any]]) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], label=name, **look) for name, look in looks.items()]
    figure.legend(handles=handles, loc="outside upper center", ncols=min(5, len(handles)), frameon=False, fontsize=9)

"""Learning curves of runs, and returns on variants of their task, as pictures; needs the extra ``plots``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rl_larnn.agents.evaluation.variation import Variant, by_memory
from rl_larnn.agents.reporting.styles import check_picture, figure_class, styles
from rl_larnn.agents.runs.folder import load_settings, was_offline
from rl_larnn.agents.runs.logs import read_curve
from rl_larnn.envs import find_task
from rl_larnn.errors import UserError
from rl_larnn.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike

#: Points at which the curves of several seeds are compared.
POINTS = 200


def read_curves(folders: Sequence[Path]) -> tuple[str, dict[str, list[np.ndarray]]]:
    """The curves of runs on one environment.

    :return: the environment's id and, per memory, one array ``(points, 2)`` of steps and mean return for each seed
    :raises UserError: if the runs are of different environments, or one has no curve
    """
    environments, curves = set(), defaultdict(list)
    for folder in folders:
        settings = load_settings(folder)
        if was_offline(folder):
            raise UserError(f"the run {folder} learned from data and has no curve over steps: see it in TensorBoard")
        curve = read_curve(folder)
        if not len(curve):
            raise UserError(f"the run {folder} has no finished episode to plot yet")
        environments.add(settings.env)
        curves[settings.method].append(curve)
    if len(environments) != 1:
        raise UserError(f"expected runs of one environment, got {', '.join(sorted(environments)) or 'no run'}")
    return environments.pop(), dict(curves)


def plot_curves(folders: Sequence[Path], path: Path) -> None:
    """Draw the runs: per memory the mean over seeds, a band from the worst seed to the best, and the task's bounds.

    :param path: file to write; its suffix decides the format
    :raises UserError: as :func:`read_curves`, for another ending, and if matplotlib is missing
    """
    check_picture(path)
    env_id, curves = read_curves(folders)
    figure, axes = _new_figure()
    looks = styles(list(curves))
    for memory, seeds in curves.items():
        begin, end = max(curve[0, 0] for curve in seeds), min(curve[-1, 0] for curve in seeds)
        steps = np.linspace(begin, end, POINTS)
        returns = np.stack([np.interp(steps, *curve.T) for curve in seeds], axis=1)
        label = f"{memory} ({len(seeds)} run{'s' if len(seeds) > 1 else ''})"
        _draw_band(axes, steps, returns, looks[memory], label=label, markevery=POINTS // 10)
    for label, height in zip(("best known without memory", "ceiling"), _draw_bounds(axes, env_id), strict=False):
        axes.annotate(
            label, (1, height), xycoords=("axes fraction", "data"), xytext=(-4, 3),
            textcoords="offset points", ha="right", color="0.4", fontsize=8,
        )  # fmt: skip
    axes.set_xlabel("environment steps")
    axes.set_ylabel("return, mean of the last 100 training episodes")
    axes.set_title(f"{env_id}: mean over runs, band from worst to best")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:g}k" if value else "0")
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    _save(figure, path)


def draw_variants(path: Path, variants: Sequence[Variant]) -> None:
    """A line per memory through the means over seeds, with a band from the worst seed to the best.

    :raises UserError: if matplotlib is missing
    """
    figure, axes = _new_figure()
    means = by_memory(variants)
    looks = styles(list(means))
    for memory, by_value in means.items():
        values = sorted(by_value)
        _draw_band(axes, values, [by_value[value] for value in values], looks[memory], label=memory)
    _draw_bounds(axes, variants[0].env)
    values = sorted({variant.value for variant in variants})
    if values[0] > 0 and values[-1] >= 30 * values[0]:
        axes.set_xscale("log")
    axes.set_xlabel(variants[0].argument)
    axes.set_ylabel("mean return; dashed: floor and ceiling")
    axes.set_title(f"{variants[0].env}, not trained further: mean over seeds, band from worst to best")
    axes.legend(frameon=False)
    _save(figure, path)


def _new_figure() -> tuple[Figure, Axes]:
    figure = figure_class()(figsize=(8, 4.5), layout="constrained")
    return figure, figure.subplots()


def _draw_band(axes: Axes, x: ArrayLike, seeds: Iterable[Any], look: dict, **more: Any) -> None:
    """Draw the mean over seeds, and a band from the worst to the best; ``seeds`` has their values for each ``x``."""
    means, low, high = zip(*((np.mean(values), np.min(values), np.max(values)) for values in seeds), strict=True)
    axes.plot(x, means, **more, **look)
    axes.fill_between(x, low, high, color=look["color"], alpha=0.12, linewidth=0)


def _draw_bounds(axes: Axes, env_id: str) -> list[float]:
    """Draw floor and ceiling of a task, if they are known, and return their heights."""
    task = find_task(env_id)
    heights = [] if task is None else [task.floor.value, task.ceiling.value]
    for height in heights:
        axes.axhline(height, color="0.5", linestyle="--", linewidth=1)
    return heights


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=120, format=path.suffix[1:] or "png")

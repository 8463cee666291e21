"""Learning curves of several runs, as a picture. Needs matplotlib (the ``plots`` extra)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rl_larnn.agents.reporting.styles import check_picture, figure_class, styles
from rl_larnn.agents.runs.folder import load_settings, was_offline
from rl_larnn.agents.runs.logs import read_curve
from rl_larnn.envs import find_task
from rl_larnn.errors import UserError

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
    figure = figure_class()(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    looks = styles(list(curves))
    for memory, seeds in curves.items():
        begin, end = max(curve[0, 0] for curve in seeds), min(curve[-1, 0] for curve in seeds)
        steps = np.linspace(begin, end, POINTS)
        returns = np.stack([np.interp(steps, *curve.T) for curve in seeds])
        label = f"{memory} ({len(seeds)} run{'s' if len(seeds) > 1 else ''})"
        axes.plot(steps, returns.mean(0), label=label, markevery=POINTS // 10, **looks[memory])
        axes.fill_between(steps, returns.min(0), returns.max(0), color=looks[memory]["color"], alpha=0.12, linewidth=0)
    task = find_task(env_id)
    if task is not None:
        for label, bound in (("best known without memory", task.floor), ("ceiling", task.ceiling)):
            axes.axhline(bound.value, color="0.5", linestyle="--", linewidth=1)
            axes.annotate(
                label, (1, bound.value), xycoords=("axes fraction", "data"), xytext=(-4, 3),
                textcoords="offset points", ha="right", color="0.4", fontsize=8,
            )  # fmt: skip
    axes.set_xlabel("environment steps")
    axes.set_ylabel("return, mean of the last 100 training episodes")
    axes.set_title(f"{env_id}: mean over runs, band from worst to best")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:g}k" if value else "0")
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)

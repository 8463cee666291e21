"""What was measured: as tables for people, as plain data for programs, and as a picture."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from rl_larnn.agents.benchmark import tables
from rl_larnn.agents.benchmark.acting import WINDOWED, Cost
from rl_larnn.agents.benchmark.timing import Times
from rl_larnn.agents.benchmark.training import CONTRIB, PPO_NAME
from rl_larnn.agents.reporting.styles import check_picture, figure_class, styles
from rl_larnn.agents.runs.provenance import processor

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Methods that have another name in suites.
_NAMES_IN_SUITES = {PPO_NAME: "ppo", CONTRIB: "contrib-lstm", WINDOWED: "transformer"}

#: The function that makes the table of each part but ``steps``, which has a table for each batch size.
_TABLES: dict[str, Callable[[Any], tables.Table]] = {
    "training": partial(tables.speed_table, "Training"),
    "collecting": partial(tables.speed_table, "Collecting alone"),
    "scans": tables.scan_table,
    "growth": tables.growth_table,
    "larnn": tables.larnn_table,
    "windows": tables.window_table,
    "offline": tables.offline_table,
}


@dataclass
class Report:
    """All parts that were measured; a part that was left out is empty.

    :param device: of torch, on which everything ran
    """

    device: str
    training: dict[str, Times] = field(default_factory=dict)
    collecting: dict[str, Times] = field(default_factory=dict)
    scans: dict[int, dict[str, Times]] = field(default_factory=dict)  # length, name
    growth: dict[int, dict[str, Times]] = field(default_factory=dict)  # length, "seconds"
    larnn: dict[str, dict[str, Times]] = field(default_factory=dict)  # size, name
    windows: dict[str, dict[str, Times]] = field(default_factory=dict)  # window, "sequence" or "step"
    offline: dict[str, Times] = field(default_factory=dict)
    steps: dict[int, dict[str, dict[int, Cost]]] = field(default_factory=dict)  # rows, name, place

    def machine(self) -> dict[str, Any]:
        """The hardware and the versions that were measured."""
        names = ("torch", "stable-baselines3", "sb3-contrib", "gymnasium", "rl-larnn")
        accelerator = torch.cuda.get_device_name() if self.device.startswith("cuda") else None
        return {
            "processor": accelerator or processor(),
            "threads": torch.get_num_threads(),
            "device": self.device,
            "python": platform.python_version(),
            **{name: version(name) for name in names},
        }

    def as_data(self) -> dict[str, Any]:
        """Everything, for JSON: seconds, per step where steps are counted."""
        data = asdict(self)
        return {"machine": self.machine(), **{part: data[part] for part in PARTS}}

    def tables(self) -> list[tables.Table]:
        """One table for each part that was measured, and for each batch size of acting."""
        found = [table(part) for name, table in _TABLES.items() if (part := getattr(self, name))]
        return found + [tables.acting_table(batch, costs) for batch, costs in self.steps.items()]

    def markdown(self, command: str) -> str:
        """A page of all tables.

        :param command: what repeats the measurement
        """
        machine = ", ".join(f"{name} {value}" for name, value in self.machine().items())
        origin = (
            f"Written by `{command}`. Methods take turns; ratios are of neighbours in time, median over rounds with "
            f"the lowest and the highest in brackets. {machine[0].upper()}{machine[1:]}."
        )
        return "\n\n".join(["# Speed", origin, *(table.markdown() for table in self.tables())]) + "\n"

    def plot(self, path: Path) -> None:
        """Draw training speed, scan time over T, and the cost of a step over the length of the stream.

        :raises UserError: for another ending than a picture's, or if matplotlib is missing
        """
        check_picture(path)
        figure = figure_class()(figsize=(13, 4), layout="constrained")
        training, scans, acting = figure.subplots(1, 3, width_ratios=[1.2, 1, 1])
        lengths = {name: {steps: times[name].median * 1e3 for steps, times in self.scans.items()}
                   for name in next(iter(self.scans.values()), {}) if "loop" not in name}  # fmt: skip
        places = {name: {place: cost.seconds * 1e6 for place, cost in costs.items()}
                  for name, costs in next(iter(self.steps.values()), {}).items()}  # fmt: skip
        looks = _looks([*self.training, *lengths, *places])
        _draw_speeds(training, self.training, looks)
        _draw_lines(scans, lengths, looks, "steps of a sequence", "forward and backward, ms")
        _draw_lines(acting, places, looks, "steps read before", "one step when acting, µs")
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=110)


#: Names of all parts, in the order in which they are shown.
PARTS = tuple(part.name for part in fields(Report) if part.name != "device")


def _draw_speeds(axes: Axes, training: Mapping[str, Times], looks: Mapping[str, dict[str, Any]]) -> None:
    """Draw a bar for each method, the slowest at the bottom, with the slowest and the fastest round."""
    names = sorted(training, key=lambda name: -training[name].median)
    medians = [1 / training[name].median for name in names]
    axes.barh([_short(name) for name in names], medians, color=[looks[name]["color"] for name in names])
    spread = [[median - 1 / max(training[name]), 1 / min(training[name]) - median]
              for name, median in zip(names, medians, strict=True)]  # fmt: skip
    axes.errorbar(medians, range(len(names)), xerr=np.array(spread).T, fmt="none", ecolor="0.2", linewidth=1)
    axes.set_xlabel("environment steps/s when training; median, slowest and fastest round")


def _draw_lines(
    axes: Axes, lines: Mapping[str, Mapping[int, float]], looks: Mapping[str, dict[str, Any]], x: str, y: str
) -> None:
    for name, points in lines.items():
        axes.loglog(list(points), list(points.values()), label=_short(name), **looks[name])
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.legend(frameon=False, fontsize=9)


def _looks(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """How each method is drawn: as in the figures of suites, if it is one of theirs."""
    known = {name: _NAMES_IN_SUITES.get(name, name) for name in names}
    looks = styles(list(dict.fromkeys(known.values())))
    return {name: looks[method] for name, method in known.items()}


def _short(name: str) -> str:
    return name.replace("sb3-contrib RecurrentPPO", "sb3-contrib").replace(", keys and values kept", "")

"""What was measured, as tables for people, as plain data for programs, and as a picture."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rl_larnn.agents.benchmark.acting import WINDOWED, Cost, cumulative_seconds
from rl_larnn.agents.benchmark.offline import CONTEXT, DECISION_TRANSFORMER, WINDOWS
from rl_larnn.agents.benchmark.scans import WINDOWLESS
from rl_larnn.agents.benchmark.timing import Times
from rl_larnn.agents.benchmark.training import CONTRIB, PPO_NAME
from rl_larnn.agents.reporting.styles import check_picture, figure_class, styles
from rl_larnn.agents.runs.provenance import processor

#: Contestants that are contenders of suites under another name.
_AS = {PPO_NAME: "ppo", CONTRIB: "contrib-lstm", WINDOWED: "transformer"}

Table = tuple[str, list[str], list[list[str]]]  # title, header, rows


@dataclass
class Report:
    """All parts that were measured; a part that was left out is empty."""

    device: str
    training: dict[str, Times] = field(default_factory=dict)
    collecting: dict[str, Times] = field(default_factory=dict)
    scans: dict[int, dict[str, Times]] = field(default_factory=dict)
    growth: dict[int, dict[str, Times]] = field(default_factory=dict)
    larnn: dict[str, dict[str, Times]] = field(default_factory=dict)
    windows: dict[str, dict[str, Times]] = field(default_factory=dict)
    offline: dict[str, Times] = field(default_factory=dict)
    steps: dict[int, dict[str, dict[int, Cost]]] = field(default_factory=dict)  # rows, name, place

    def machine(self) -> dict[str, Any]:
        """What the figures belong to."""
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

        def plain(value: Any) -> Any:
            if isinstance(value, Times):
                return list(value.seconds)
            if isinstance(value, Cost):
                return value._asdict()
            if isinstance(value, Mapping):
                return {str(key): plain(part) for key, part in value.items()}
            return value

        names = ("training", "collecting", "scans", "growth", "larnn", "windows", "offline", "steps")
        return {"machine": self.machine(), **{name: plain(getattr(self, name)) for name in names}}

    def tables(self) -> list[Table]:
        """One table per part."""
        found: list[Table] = []
        for title, times, reference in (
            ("Training, environment steps per second", self.training, PPO_NAME),
            ("Collecting alone, environment steps per second", self.collecting, PPO_NAME),
        ):
            if times:
                header = ["", "steps/s", f"against {PPO_NAME}", f"against {CONTRIB}"]
                rows = [
                    [name, f"{1 / own.median:,.0f}", _ratio(own, times[reference]), _ratio(own, times.get(CONTRIB))]
                    for name, own in times.items()
                ]
                found.append((title, header, rows))
        if self.scans:
            names = list(dict.fromkeys(name for times in self.scans.values() for name in times))
            header = ["forward and backward, ms", *(f"T = {steps}" for steps in self.scans)]
            rows = [[name, *(_milliseconds(times.get(name)) for times in self.scans.values())] for name in names]
            found.append(("A sequence of 8 rows, 64 units", header, rows))
        if self.growth:
            first = next(iter(self.growth.values()))["seconds"]
            base = next(iter(self.growth))
            rows = [
                [str(steps), _milliseconds(part["seconds"]), _growth(part["seconds"], first, steps / base)]
                for steps, part in self.growth.items()
            ]
            found.append(("Aaren's average alone, growth with T", ["T", "ms", "time / linear growth"], rows))
        if self.larnn:
            rows = [
                [size, *(_milliseconds(part) for part in times.values()), _ratio(*times.values())]
                for size, times in self.larnn.items()
            ]
            found.append(("LARNN's scan", ["", "scan, ms", "loop over steps, ms", "times as fast"], rows))
        if self.windows:
            windowless = self.windows[WINDOWLESS]
            rows = [
                [
                    f"window {name}" if name.isdigit() else name,
                    f"{taken['sequence'].median * 1e3:.3g}",
                    _ratio(windowless["sequence"], taken["sequence"]),
                    f"{taken['step'].median * 1e6:,.0f}",
                    _ratio(windowless["step"], taken["step"]),
                ]
                for name, taken in self.windows.items()
            ]
            header = ["", "sequence, ms", f"times {WINDOWLESS}'s", "one step, µs", f"times {WINDOWLESS}'s"]
            found.append(("LARNN over its window (T = 128, 16 rows, 64 units, 4 heads)", header, rows))
        if self.offline:
            baseline = self.offline[DECISION_TRANSFORMER]
            rows = [[name, f"{1 / own.median:,.0f}", _ratio(own, baseline)] for name, own in self.offline.items()]
            title = f"Offline, updates per second ({WINDOWS} windows of {CONTEXT} steps)"
            found.append((title, ["", "updates/s", "against the Decision Transformer"], rows))
        for batch, costs in self.steps.items():
            places = list(next(iter(costs.values())))
            header = [
                "one step, µs (kB carried)",
                *(f"after {place:,}" for place in places),
                f"{max(places):,} steps, s (estimated)",
            ]
            rows = [
                [
                    name,
                    *(f"{cost.seconds * 1e6:,.0f} ({cost.bytes / 1e3:,.1f})" for cost in at.values()),
                    f"{cumulative_seconds(at):,.3g}",
                ]
                for name, at in costs.items()
            ]
            found.append((f"Acting, batch of {batch}", header, rows))
        return found

    def plot(self, path: Path) -> None:
        """Training speed, scan time over T, and the cost of a step over the length of the stream.

        :raises UserError: for another ending than a picture's, or if matplotlib is missing
        """
        check_picture(path)
        figure = figure_class()(figsize=(13, 4), layout="constrained")
        speed, length, stream = figure.subplots(1, 3, width_ratios=[1.2, 1, 1])
        names = sorted(self.training, key=lambda name: -self.training[name].median)
        kinds = [name for name in next(iter(self.scans.values()), {}) if "loop" not in name]
        acting = next(iter(self.steps.values()), {})
        looks = _looks([*names, *kinds, *acting])
        medians = [1 / self.training[name].median for name in names]
        speed.barh([_short(name) for name in names], medians, color=[looks[name]["color"] for name in names])
        spread = [[median - 1 / max(self.training[name].seconds), 1 / min(self.training[name].seconds) - median]
                  for name, median in zip(names, medians, strict=True)]  # fmt: skip
        speed.errorbar(medians, range(len(names)), xerr=np.array(spread).T, fmt="none", ecolor="0.2", linewidth=1)
        speed.set_xlabel("environment steps/s when training; median, slowest and fastest round")
        for name in kinds:
            points = [(steps, times[name].median * 1e3) for steps, times in self.scans.items()]
            length.loglog(*zip(*points, strict=True), label=_short(name), **looks[name])
        length.set_ylabel("forward and backward, ms")
        length.set_xlabel("steps of a sequence")
        for name, at in acting.items():
            stream.loglog(list(at), [cost.seconds * 1e6 for cost in at.values()], label=_short(name), **looks[name])
        stream.set_ylabel("one step when acting, µs")
        stream.set_xlabel("steps read before")
        for axes in (length, stream):
            axes.legend(frameon=False, fontsize=9)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=110)


def markdown(report: Report, command: str) -> str:
    """A page of all tables.

    :param command: what printed it
    """
    machine = ", ".join(f"{name} {value}" for name, value in report.machine().items())
    origin = (
        f"Written by `{command}`. Contestants take turns; ratios are of neighbours in time, median over rounds with "
        f"the lowest and the highest in brackets. {machine[0].upper()}{machine[1:]}."
    )
    parts = ["# Speed", origin]
    for title, header, rows in report.tables():
        lines = [f"**{title}**", "", "| " + " | ".join(header) + " |", "| " + " | ".join("---" for _ in header) + " |"]
        parts.append("\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]))
    return "\n\n".join(parts) + "\n"


def _ratio(own: Times, other: Times | None = None) -> str:
    if other is None:
        return ""
    median, lowest, highest = own.speed_against(other)
    return f"{median:.2f} ({lowest:.2f} to {highest:.2f})"


def _growth(own: Times, first: Times, linear: float) -> str:
    median, lowest, highest = first.speed_against(own)
    return f"{median / linear:.2f} ({lowest / linear:.2f} to {highest / linear:.2f})"


def _milliseconds(times: Times | None) -> str:
    return "" if times is None else f"{times.median * 1e3:.3g}"


def _looks(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """How each contestant is drawn: like the contender of suites that it is, if it is one."""
    known = {name: _AS.get(name, name) for name in names}
    looks = styles(list(dict.fromkeys(known.values())))
    return {name: looks[contender] for name, contender in known.items()}


def _short(name: str) -> str:
    return name.replace("sb3-contrib RecurrentPPO", "sb3-contrib").replace(", keys and values kept", "")

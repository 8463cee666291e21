"""What was measured, as tables for people, as plain data for programs, and as a picture."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from rl_larnn.agents.benchmark.acting import Cost, cumulative_seconds
from rl_larnn.agents.benchmark.offline import CONTEXT, DECISION_TRANSFORMER, WINDOWS
from rl_larnn.agents.benchmark.timing import Times
from rl_larnn.agents.benchmark.training import CONTRIB, PPO_NAME
from rl_larnn.agents.evaluation.styles import figure_class
from rl_larnn.agents.origin import processor

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

        names = ("training", "collecting", "scans", "growth", "larnn", "offline", "steps")
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
        if self.offline:
            baseline = self.offline[DECISION_TRANSFORMER]
            rows = [[name, f"{1 / own.median:,.0f}", _ratio(own, baseline)] for name, own in self.offline.items()]
            title = f"Offline, updates per second ({WINDOWS} windows of {CONTEXT} steps)"
            found.append((title, ["", "updates/s", "against the Decision Transformer"], rows))
        for batch, costs in self.steps.items():
            places = list(next(iter(costs.values())))
            header = [
                "one step, us (kB carried)",
                *(f"after {place:,}" for place in places),
                f"all {max(places):,} steps, s",
            ]
            rows = [
                [
                    name,
                    *(f"{cost.seconds * 1e6:,.0f} ({cost.bytes / 1e3:,.1f})" for cost in at.values()),
                    f"{cumulative_seconds(at):,.1f}",
                ]
                for name, at in costs.items()
            ]
            found.append((f"Acting, batch of {batch}", header, rows))
        return found

    def plot(self, path: Path) -> None:
        """Training speed, scan time over T, and the cost of a step over the length of the stream.

        :raises UserError: if matplotlib is missing
        """
        figure = figure_class()(figsize=(13, 4), layout="constrained")
        speed, length, stream = figure.subplots(1, 3, width_ratios=[1.2, 1, 1])
        names = sorted(self.training, key=lambda name: -self.training[name].median)
        colours = ["0.6" if name in (PPO_NAME, CONTRIB) else "tab:blue" for name in names]
        speed.barh([_short(name) for name in names], [1 / self.training[name].median for name in names], color=colours)
        speed.set_title("training, environment steps/s")
        kinds = [name for name in next(iter(self.scans.values()), {}) if "loop" not in name]
        for name in kinds:
            points = [(steps, times[name].median * 1e3) for steps, times in self.scans.items()]
            length.loglog(*zip(*points, strict=True), marker=".", label=_short(name))
        length.set_title("forward and backward over T steps, ms")
        length.set_xlabel("T")
        for name, at in next(iter(self.steps.values()), {}).items():
            stream.loglog(list(at), [cost.seconds * 1e6 for cost in at.values()], marker=".", label=_short(name))
        stream.set_title("one step when acting, us")
        stream.set_xlabel("steps read before")
        for axes in (length, stream):
            axes.legend(frameon=False, fontsize=8)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=110)


def markdown(tables: list[Table]) -> str:
    """Tables as Markdown."""
    parts = []
    for title, header, rows in tables:
        lines = [f"**{title}**", "", "| " + " | ".join(header) + " |", "| " + " | ".join("---" for _ in header) + " |"]
        parts.append("\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]))
    return "\n\n".join(parts)


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


def _short(name: str) -> str:
    return name.replace("sb3-contrib RecurrentPPO", "sb3-contrib").replace(", keys and values kept", "")

"""What was measured, as tables for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from rl_larnn.agents.benchmark.acting import Cost, cumulative_seconds
from rl_larnn.agents.benchmark.offline import CONTEXT, DECISION_TRANSFORMER, WINDOWS
from rl_larnn.agents.benchmark.scans import WINDOWLESS
from rl_larnn.agents.benchmark.timing import Times
from rl_larnn.agents.benchmark.training import CONTRIB, PPO_NAME
from rl_larnn.agents.reporting.tables import markdown_table


class Table(NamedTuple):
    """A table of texts."""

    title: str
    header: list[str]
    rows: list[list[str]]

    def markdown(self) -> str:
        """The title in bold, and the table under it."""
        return f"**{self.title}**\n\n{markdown_table(self.header, self.rows, text_columns=None)}"


def speed_table(what: str, times: Mapping[str, Times]) -> Table:
    """Environment steps per second of each method, and against the two that others wrote.

    :param what: what was timed
    """
    header = ["", "steps/s", f"against {PPO_NAME}", f"against {CONTRIB}"]
    rows = [
        [name, f"{1 / own.median:,.0f}", _ratio(own, times[PPO_NAME]), _ratio(own, times.get(CONTRIB))]
        for name, own in times.items()
    ]
    return Table(f"{what}, environment steps per second", header, rows)


def scan_table(scans: Mapping[int, Mapping[str, Times]]) -> Table:
    """Forward and backward time of each memory for each length."""
    names = list(dict.fromkeys(name for times in scans.values() for name in times))
    header = ["forward and backward, ms", *(f"T = {steps}" for steps in scans)]
    rows = [[name, *(_milliseconds(times.get(name)) for times in scans.values())] for name in names]
    return Table("A sequence of 8 rows, 64 units", header, rows)


def growth_table(growth: Mapping[int, Mapping[str, Times]]) -> Table:
    """How the time of Aaren's average grows with the length, against the length itself."""
    (shortest, first), *_ = growth.items()
    rows = []
    for steps, part in growth.items():
        relative = tuple(ratio * shortest / steps for ratio in first["seconds"].speed_against(part["seconds"]))
        rows.append([str(steps), _milliseconds(part["seconds"]), _with_range(*relative)])
    return Table("Aaren's average alone, growth with T", ["T", "ms", "time / linear growth"], rows)


def larnn_table(larnn: Mapping[str, Mapping[str, Times]]) -> Table:
    """LARNN's scan against the loop over its steps, for each size."""
    header = ["", "scan, ms", "loop over steps, ms", "times as fast"]
    rows = [
        [size, *(_milliseconds(part) for part in times.values()), _ratio(*times.values())]
        for size, times in larnn.items()
    ]
    return Table("LARNN's scan", header, rows)


def window_table(windows: Mapping[str, Mapping[str, Times]]) -> Table:
    """A sequence and one step of LARNN for each window, as multiples of the times of a memory without a window."""
    reference = windows[WINDOWLESS]
    header = ["", "sequence, ms", f"times {WINDOWLESS}'s", "one step, µs", f"times {WINDOWLESS}'s"]
    rows = [
        [
            f"window {name}" if name.isdigit() else name,
            _milliseconds(own["sequence"]),
            _ratio(reference["sequence"], own["sequence"]),
            f"{own['step'].median * 1e6:,.0f}",
            _ratio(reference["step"], own["step"]),
        ]
        for name, own in windows.items()
    ]
    return Table("LARNN over its window (T = 128, 16 rows, 64 units, 4 heads)", header, rows)


def offline_table(times: Mapping[str, Times]) -> Table:
    """Updates per second of learning from data, against the Decision Transformer."""
    baseline = times[DECISION_TRANSFORMER]
    rows = [[name, f"{1 / own.median:,.0f}", _ratio(own, baseline)] for name, own in times.items()]
    title = f"Offline, updates per second ({WINDOWS} windows of {CONTEXT} steps)"
    return Table(title, ["", "updates/s", "against the Decision Transformer"], rows)


def acting_table(batch: int, costs: Mapping[str, Mapping[int, Cost]]) -> Table:
    """Time of one step, and the size of the state, for each memory at each place of a stream.

    :param batch: rows that act together
    """
    places = list(next(iter(costs.values())))
    total = f"{max(places):,} steps, s (estimated)"
    rows = []
    for name, own in costs.items():
        cells = [f"{cost.seconds * 1e6:,.0f} ({cost.bytes / 1e3:,.1f})" for cost in own.values()]
        rows.append([name, *cells, f"{cumulative_seconds(own):,.3g}"])
    header = ["one step, µs (kB carried)", *(f"after {place:,}" for place in places), total]
    return Table(f"Acting, batch of {batch}", header, rows)


def _ratio(own: Times, other: Times | None = None) -> str:
    return "" if other is None else _with_range(*own.speed_against(other))


def _with_range(median: float, lowest: float, highest: float) -> str:
    return f"{median:.2f} ({lowest:.2f} to {highest:.2f})"


def _milliseconds(times: Times | None) -> str:
    return "" if times is None else f"{times.median * 1e3:.3g}"

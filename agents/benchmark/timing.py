"""Side-by-side timing: methods take turns, so that whatever slows the machine down slows all of them."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from rl_larnn.agents.reporting.reporter import Bar

K = TypeVar("K")


class Times(tuple[float, ...]):
    """Seconds of one method, one per round."""

    @property
    def median(self) -> float:
        return statistics.median(self)

    def speed_against(self, other: Times) -> tuple[float, float, float]:
        """How many times as fast as ``other``: median over rounds, lowest and highest.

        Each round's ratio is of two calls that followed each other.
        """
        ratios = [theirs / ours for ours, theirs in zip(self, other, strict=True)]
        return statistics.median(ratios), min(ratios), max(ratios)


def take_turns(
    methods: Mapping[K, Callable[[], object]],
    rounds: int,
    warm_up: int = 1,
    repeat_for: float = 0.0,
    bar: Bar | None = None,
    label: str = "",
    count: int = 1,
    limit: float = math.inf,
) -> dict[K, Times]:
    """Time every method once per round.

    :param warm_up: untimed calls of each before the first round
    :param repeat_for: call a method again within its turn until so many seconds have passed; its time is the mean
    :param bar: shows whose turn it is
    :param label: stands before the name there
    :param count: what a call does so often, such as steps; its time is divided by it
    :param limit: no further round after so many seconds
    """
    for method in methods.values():
        for _ in range(warm_up):
            method()
    seconds: dict[K, list[float]] = {name: [] for name in methods}
    start = time.perf_counter()
    for _ in range(rounds):
        for name, method in methods.items():
            if bar is not None:
                bar.note(f"{label}{name}")
            calls, begin = 0, time.perf_counter()
            while calls == 0 or time.perf_counter() - begin < repeat_for:
                method()
                calls += 1
            seconds[name].append((time.perf_counter() - begin) / calls / count)
        if time.perf_counter() - start > limit:
            break
    return {name: Times(taken) for name, taken in seconds.items()}

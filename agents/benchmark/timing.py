"""Side-by-side timing: contestants take turns, so that whatever slows the machine down slows all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Times:
    """Seconds of one contestant, one per round."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def speed_against(self, other: Times) -> tuple[float, float, float]:
        """How many times as fast as ``other``: the median over rounds, and the lowest and the highest.

        Each round's ratio is of two runs that stood next to each other in time.
        """
        ratios = [theirs / ours for ours, theirs in zip(self.seconds, other.seconds, strict=True)]
        return statistics.median(ratios), min(ratios), max(ratios)


def take_turns(
    contestants: Mapping[str, Callable[[], object]],
    rounds: int,
    warm_up: int = 1,
    repeat_for: float = 0.0,
    tell: Callable[[str], None] = lambda name: None,
) -> dict[str, Times]:
    """Time every contestant once per round.

    :param warm_up: untimed calls of each before the first round
    :param repeat_for: call a contestant again within its turn until so many seconds have passed; its time is the mean
    :param tell: called with the name of whoever is up
    """
    for contestant in contestants.values():
        for _ in range(warm_up):
            contestant()
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, contestant in contestants.items():
            tell(name)
            calls, begin = 0, time.perf_counter()
            while calls == 0 or time.perf_counter() - begin < repeat_for:
                contestant()
                calls += 1
            seconds[name].append((time.perf_counter() - begin) / calls)
    return {name: Times(tuple(taken)) for name, taken in seconds.items()}

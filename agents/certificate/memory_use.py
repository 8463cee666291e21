"""Question B: does this agent use its memory, and how far back?"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from stable_baselines3.common.type_aliases import PolicyPredictor

from rl_larnn.agents.certificate.evaluator import Bench
from rl_larnn.agents.certificate.intervals import Interval
from rl_larnn.agents.certificate.interventions import Frozen, StateRows, Swapped, reset_every, rolling_window

#: Differences smaller than this share of the whole scale count as none.
MARGIN = 0.1


@dataclass(frozen=True)
class MemoryFinding:
    """What an agent does with its memory. Losses are intact minus tampered, on the same episodes.

    :param verdict: ``"yes"``, ``"no"`` or ``"cannot tell"``: does it use what it remembers?
    :param reason: one sentence
    :param intact: score of the agent as it is
    :param windows: score by observations remembered, the present one among them (1: memory wiped at every step)
    :param resets: score by steps between resets
    :param losses: for each window, and for ``"swapped"`` and ``"frozen"``
    :param horizon: smallest window from which on the loss is surely under a tenth of what the memory is worth; the
        length of the longest episode if no shorter one is enough; None where the memory is worth nothing
    :param too_short: largest window whose loss is surely above nothing
    """

    verdict: str
    reason: str
    intact: Interval
    windows: dict[int, Interval] = field(default_factory=dict)
    resets: dict[int, Interval] = field(default_factory=dict)
    swapped: Interval | None = None
    frozen: Interval | None = None
    losses: dict[str, Interval] = field(default_factory=dict)
    horizon: int | None = None
    too_short: int | None = None


def examine_memory(
    model: PolicyPredictor, bench: Bench, longest: int, rows: StateRows | None, intact: np.ndarray, chance: np.ndarray
) -> MemoryFinding:
    """Score the agent with its memory shortened, swapped and frozen.

    :param longest: steps of the longest of these episodes

    :param intact: returns (E,) of the agent as it is
    :param chance: returns (E,) of random actions on the same episodes
    :param rows: how to reach the rows of its state; without it nothing is swapped
    """
    curves = _Curves(model, bench, intact)
    worth = curves.rise(longest)
    horizon = curves.horizon(worth.mean, longest) if worth.low > 0 else None
    scores = {name: Interval.of(returns) for name, returns in curves.tampered(rows).items()}
    bench.report("the agent reset every n steps")
    resets = {size: Interval.of(bench.judge(reset_every(model, size))) for size in curves.doubled}
    swapped = curves.losses.get("swapped")
    verdict, reason = memory_verdict(Interval.of_difference(intact, chance), worth, swapped)
    return MemoryFinding(
        verdict,
        reason,
        Interval.of(intact),
        windows={size: Interval.of(returns) for size, returns in sorted(curves.returns.items())},
        resets=resets,
        swapped=scores.get("swapped"),
        frozen=scores["frozen"],
        losses={**{str(size): curves.loss(size) for size in sorted(curves.returns)}, **curves.losses},
        horizon=horizon if verdict == "yes" else None,
        too_short=max((size for size in curves.returns if curves.loss(size).low > 0), default=None),
    )


def memory_verdict(skill: Interval, worth: Interval, swapped: Interval | None) -> tuple[str, str]:
    """Verdict and reason.

    :param skill: intact minus chance
    :param worth: intact minus wiped at every step
    :param swapped: intact minus the memory of another episode
    """
    scale = MARGIN * max(abs(skill.mean), abs(worth.mean))
    if scale == 0 or worth.high <= scale:
        if swapped is not None and swapped.low > max(scale, 0):
            return "cannot tell", "it loses nothing without its memory, but another episode's memory confuses it"
        if worth.high < -scale:
            return "no", "with its memory wiped at every step it does better"
        return "no", "with its memory wiped at every step it does as well, to within a tenth"
    if worth.low <= scale:
        return "cannot tell", "the interval of what it loses with its memory wiped reaches from little to much"
    if swapped is None:
        return "yes", "it loses with its memory wiped at every step (swapping memories was not possible)"
    if swapped.low > 0:
        return "yes", "it loses with its memory wiped, and with the memory of another episode"
    if swapped.high <= scale:
        return "no", "it needs a memory that is not empty, but another episode's does as well: its content is not used"
    return "cannot tell", "it loses with its memory wiped, but whether another episode's would do is not clear"


class _Curves:
    """The returns by window and by other ways to tamper, as they are measured."""

    def __init__(self, model: PolicyPredictor, bench: Bench, intact: np.ndarray) -> None:
        self.model, self.bench, self.intact = model, bench, intact
        self.returns: dict[int, np.ndarray] = {}
        self.losses: dict[str, Interval] = {}
        self.doubled: list[int] = []

    def rise(self, longest: int) -> Interval:
        """Windows of 1, 2, 4 ... observations, until two in a row are enough or none is shorter than an episode.

        :return: what the memory is worth: the loss without it
        """
        size, enough = 1, 0
        while size < max(2, longest) and enough < 2:
            self.doubled.append(self.window(size))
            worth = self.loss(1)
            # Where memory is worth nothing, no window has anything to lose.
            enough = enough + 1 if worth.low <= 0 or self.enough(size, worth.mean) else 0
            size *= 2
        return worth

    def enough(self, size: int, worth: float) -> bool:
        """Whether the loss with this window is surely under a tenth of the memory's worth."""
        return self.loss(size).high <= MARGIN * worth

    def window(self, size: int) -> int:
        """Measure a window; the size that it really has."""
        agent = rolling_window(self.model, size)
        if agent.size not in self.returns:
            self.bench.report(f"the agent with the last {agent.size} observations")
            self.returns[agent.size] = self.bench.judge(agent)
        return agent.size

    def loss(self, size: int) -> Interval:
        """What the agent loses with this window."""
        return Interval.of_difference(self.intact, self.returns[size])

    def horizon(self, worth: float, longest: int) -> int:
        """The smallest window that is enough, and so are all longer ones; one as long as the episodes always is."""
        sizes = sorted(self.returns)
        short = [size for size in sizes if not self.enough(size, worth)]
        longer = [size for size in sizes if size > max(short, default=0)] or [longest]
        low, high = max(short, default=0), longer[0]
        for _ in range(3):  # between two powers of two; exact up to 16
            middle = self.window((low + high) // 2) if high - low > 1 else high
            if middle in (low, high):
                break
            low, high = (low, middle) if self.enough(middle, worth) else (middle, high)
        return high

    def tampered(self, rows: StateRows | None) -> dict[str, np.ndarray]:
        """Returns with the memory frozen after the first step and, where possible, swapped."""
        self.bench.report("the agent with its memory frozen, and with another episode's")
        found = {"frozen": self.bench.judge(Frozen(self.model))}
        self.losses["frozen"] = Interval.of_difference(self.intact, found["frozen"])
        n_envs = self.bench.env.num_envs
        if rows is not None and n_envs % 2 == 0:
            halves = [Swapped(self.model, rows, first) for first in (True, False)]
            parts = [agent.victims(self.bench.judge(agent), n_envs) for agent in halves]
            returns, places = (np.concatenate(values) for values in zip(*parts, strict=True))
            found["swapped"] = returns[np.argsort(places)]
            self.losses["swapped"] = Interval.of_difference(self.intact, found["swapped"])
        return found

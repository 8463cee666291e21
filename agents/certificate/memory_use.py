"""Question B: does this agent use its memory, and how far back?"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from stable_baselines3.common.type_aliases import PolicyPredictor

from rl_larnn.agents.certificate.certificate import MARGIN, Interval, MemoryFinding
from rl_larnn.agents.certificate.evaluator import Episodes, Evaluator
from rl_larnn.agents.certificate.interventions import (
    StateRows,
    frozen_memory,
    reset_every,
    rolling_window,
    swapped_memory,
    window_size,
)


def examine_memory(
    model: PolicyPredictor, evaluator: Evaluator, whole: Episodes, rows: StateRows | None, random: np.ndarray
) -> MemoryFinding:
    """Score the agent with its memory shortened, swapped and frozen.

    :param whole: the episodes of the agent as it is
    :param rows: how to reach the rows of its state; without it nothing is swapped
    :param random: returns (E,) of random actions on the same episodes
    """
    intact, longest = whole.returns, int(whole.lengths.max())
    windows = _Windows(model, evaluator, intact)
    windows.measure(longest)
    doubled, worth = list(windows.returns), windows.loss(1)
    horizon = windows.horizon(longest) if worth.low > 0 else None
    evaluator.announce("the agent with its memory frozen, and with another episode's")
    frozen, swapped = evaluator.returns(frozen_memory(model)), _swapped(model, evaluator, rows)
    evaluator.announce("the agent reset every n steps")
    resets = {size: Interval.of(evaluator.returns(reset_every(model, size))) for size in doubled}
    by_size = dict(sorted(windows.returns.items()))
    losses = {str(size): windows.loss(size) for size in by_size} | {"frozen": Interval.of(intact - frozen)}
    if swapped is not None:
        losses["swapped"] = Interval.of(intact - swapped)
    verdict, reason = memory_verdict(Interval.of(intact - random), worth, losses.get("swapped"))
    return MemoryFinding(
        verdict,
        reason,
        Interval.of(intact),
        windows={size: Interval.of(returns) for size, returns in by_size.items()},
        resets=resets,
        swapped=None if swapped is None else Interval.of(swapped),
        frozen=Interval.of(frozen),
        losses=losses,
        horizon=horizon if verdict == "yes" else None,
        too_short=max((size for size in by_size if losses[str(size)].low > 0), default=None),
    )


def memory_verdict(skill: Interval, worth: Interval, swapped: Interval | None) -> tuple[str, str]:
    """Verdict and reason.

    :param skill: intact minus random actions
    :param worth: intact minus memory reset every step
    :param swapped: intact minus the memory of another episode
    """
    scale = MARGIN * max(abs(skill.mean), abs(worth.mean))
    if scale == 0 or worth.high <= scale:
        if swapped is not None and swapped.low > max(scale, 0):
            return "cannot tell", "it loses nothing without its memory, but another episode's memory confuses it"
        if worth.high < -scale:
            return "no", "with its memory reset every step it does better"
        return "no", "with its memory reset every step it does as well, to within a tenth"
    if worth.low <= scale:
        return "cannot tell", "the interval of what it loses with its memory reset every step is too wide"
    if swapped is None:
        return "yes", "it loses with its memory reset every step (swapping memories was not possible)"
    if swapped.low > 0:
        return "yes", "it loses with its memory reset every step, and with the memory of another episode"
    if swapped.high <= scale:
        return "no", "it needs a memory that is not empty, but another episode's does as well: its content is not used"
    return "cannot tell", "it loses with its memory reset every step, but perhaps not with another episode's memory"


def _swapped(model: PolicyPredictor, evaluator: Evaluator, rows: StateRows | None) -> np.ndarray | None:
    """Returns (E,) with the memory of another episode: each half of the environments once; None where impossible."""
    n_envs = evaluator.env.num_envs
    if rows is None or n_envs % 2 != 0:
        return None
    first, second = (evaluator.returns(swapped_memory(model, rows, donors_first)) for donors_first in (True, False))
    # The donors of the one are those that received in the other.
    return np.where(np.arange(len(first)) % n_envs >= n_envs // 2, first, second)


@dataclass
class _Windows:
    """The agent with rolling windows.

    :param intact: returns (E,) of the agent as it is
    :param returns: by size, of the windows that were measured
    """

    model: PolicyPredictor
    evaluator: Evaluator
    intact: np.ndarray
    returns: dict[int, np.ndarray] = field(default_factory=dict)

    def measure(self, longest: int) -> None:
        """Windows of 1, 2, 4 ... observations, until two in a row are enough or none is shorter than an episode."""
        size, enough = 1, 0
        while size < max(2, longest) and enough < 2:
            enough = enough + 1 if self._enough(self._window(size)) else 0
            size *= 2

    def horizon(self, longest: int) -> int:
        """The smallest window that is enough, and so are all longer ones; one as long as the episodes always is."""
        low = max((size for size in self.returns if not self._enough(size)), default=0)
        high = min((size for size in self.returns if size > low), default=longest)
        for _ in range(3):  # between two powers of two; exact up to 16
            middle = self._window((low + high) // 2) if high - low > 1 else high
            if middle in (low, high):
                break
            low, high = (low, middle) if self._enough(middle) else (middle, high)
        return high

    def loss(self, size: int) -> Interval:
        """What the agent loses with this window; with that of 1 observation, all that its memory is worth."""
        return Interval.of(self.intact - self.returns[size])

    def _enough(self, size: int) -> bool:
        """Whether the loss is clearly under a tenth of the memory's worth, or that is nothing."""
        worth = self.loss(1)
        return worth.low <= 0 or self.loss(size).high <= MARGIN * worth.mean

    def _window(self, size: int) -> int:
        """Measure a window; the size that it really has."""
        size, copies = window_size(size)
        if size not in self.returns:
            self.evaluator.announce(f"the agent with the last {size} observations")
            self.returns[size] = self.evaluator.returns(rolling_window(self.model, size, copies))
        return size

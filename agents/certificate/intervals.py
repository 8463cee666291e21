"""Intervals of a mean over episodes.

Every interval of a certificate is Student's t interval at :data:`CONFIDENCE`. It is wider than the usual 95 % because
a certificate makes about five comparisons: together they hold with at least 95 % (Bonferroni).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist
from typing import Self

import numpy as np

CONFIDENCE = 0.99


@dataclass(frozen=True)
class Interval:
    """A mean with the ends of its interval, in the unit of the returns.

    :param count: episodes, or pairs of episodes, behind it
    """

    mean: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float] | np.ndarray) -> Self:
        """The interval of the mean of independent values (N,), N > 1."""
        numbers = np.asarray(values, float)
        mean, half = float(numbers.mean()), half_width(float(numbers.std(ddof=1)), len(numbers))
        return cls(mean, mean - half, mean + half, len(numbers))

    @classmethod
    def of_difference(cls, first: np.ndarray, second: np.ndarray) -> Self:
        """The interval of the mean of ``first - second``, both (N,), where equal places share the episode's seed."""
        return cls.of(np.asarray(first) - np.asarray(second))

    @property
    def standard_error(self) -> float:
        """Of the mean."""
        return (self.high - self.mean) / quantile(self.count - 1)

    def __str__(self) -> str:
        return f"{self.mean:.4g} [{self.low:.4g}, {self.high:.4g}]"


def half_width(deviation: float, count: int) -> float:
    """Half the width of the interval of ``count`` values with this sample standard deviation."""
    return quantile(count - 1) * deviation / sqrt(count)


def quantile(degrees: int) -> float:
    """Student's t at the upper end of the two-sided interval, right to 0.1 % from 10 degrees of freedom on.

    Source: the expansion around the normal quantile, Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.5.
    """
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    fourth = (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160
    return z + first / degrees + second / degrees**2 + third / degrees**3 + fourth / degrees**4

"""Checks of memory options, each with the nearest valid value in its error."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def check_heads(hidden_size: int, heads: int) -> None:
    """:raises ValueError: unless ``heads`` divides ``hidden_size``."""
    if heads < 1 or hidden_size % heads:
        divisors = [number for number in range(1, hidden_size + 1) if hidden_size % number == 0]
        nearest = sorted(sorted(divisors, key=lambda number: abs(number - heads))[:3])
        raise ValueError(
            f"heads must divide hidden_size: {hidden_size} is not a multiple of {heads}; nearest valid heads: "
            + ", ".join(map(str, nearest))
        )


def check_choice(option: str, value: str, choices: Iterable[str]) -> None:
    """:raises ValueError: unless ``value`` is one of ``choices``."""
    choices = list(choices)
    if value not in choices:
        close = difflib.get_close_matches(str(value), choices, n=1, cutoff=0.4)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"{option} must be one of {', '.join(map(repr, choices))}, got {value!r}{hint}")

"""Cost of one step of a memory after a long stream, against a causal Transformer with a cache of keys and values.

Letters: B batch rows, H hidden, N tokens read so far.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from rl_larnn.agents.benchmark.scans import UNITS
from rl_larnn.agents.benchmark.training import WITH_DEEP_AAREN
from rl_larnn.agents.reporting.reporter import Bar
from rl_larnn.memories import build_memory
from rl_larnn.memory import Memory
from rl_larnn.state import leaves

TRANSFORMER = "Transformer, keys and values kept"
WINDOWED = "Transformer, window of 20 read anew"
HEADS = 4
TRIALS = 200  # steps timed at each place


class Cost(NamedTuple):
    """Cost of one step at some place of a stream."""

    seconds: float  # median of one step
    bytes: int  # of the state that is carried to the next step


def cumulative_seconds(costs: Mapping[int, Cost]) -> float:
    """Seconds of the stream up to the last place: linear between places, constant before the first."""
    (first, cost), *_ = places = sorted(costs.items())
    between = ((b - a) * (x.seconds + y.seconds) / 2 for (a, x), (b, y) in itertools.pairwise(places))
    return first * cost.seconds + sum(between)


class CachedTransformer(nn.Module):
    """One pre-norm block of a causal Transformer, of the widths of Aaren's block, which reads token by token.

    :param rows: batch size B
    :param room: the most tokens that it can read
    """

    def __init__(self, rows: int, room: int) -> None:
        super().__init__()
        self.embedding, self.norm = nn.Linear(UNITS, UNITS), nn.LayerNorm(UNITS)
        self.project, self.output = nn.Linear(UNITS, 3 * UNITS), nn.Linear(UNITS, UNITS)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(UNITS), nn.Linear(UNITS, 4 * UNITS), nn.GELU(approximate="tanh"), nn.Linear(4 * UNITS, UNITS)
        )
        self.cache = torch.randn(2, rows, HEADS, room, UNITS // HEADS)

    def step(self, x: Tensor, read: int) -> Tensor:
        """Output ``(B, H)`` for the token ``(B, H)`` that comes after ``read`` others."""
        x = self.embedding(x)
        query, *new = self.project(self.norm(x)).unflatten(1, (3, HEADS, -1)).unbind(1)
        for kept, fresh in zip(self.cache, new, strict=True):
            kept[:, :, read] = fresh
        keys, values = self.cache[:, :, :, : read + 1]
        seen = nn.functional.scaled_dot_product_attention(query.unsqueeze(2), keys, values)
        x = x + self.output(seen.squeeze(2).flatten(1))
        return x + self.feed_forward(x)


def _medians(steps: dict[int, Callable[[int], object]], seconds: float = 10.0) -> dict[int, float]:
    """Median seconds of each step, taken in turns; fewer than :data:`TRIALS` where that would take too long."""
    taken: dict[int, list[float]] = {place: [] for place in steps}
    began = time.perf_counter()
    for trial in range(TRIALS):
        for place, step in steps.items():
            begin = time.perf_counter()
            step(trial)
            taken[place].append(time.perf_counter() - begin)
        if time.perf_counter() - began > seconds:
            break
    return {place: statistics.median(times) for place, times in taken.items()}


@torch.no_grad()
def _memory_costs(memory: Memory, rows: int, places: Sequence[int]) -> dict[int, Cost]:
    """Read a stream up to each place, then time a step from there, as it is taken when acting: a scan of length one."""
    state, starts = memory.initial_state(rows), torch.zeros(1, rows, dtype=torch.bool)
    xs, read, states = torch.randn(64, 1, rows, UNITS), 0, {}
    for place in sorted(places):
        while read < place:
            state = memory.scan(xs[read % 64], state, starts)[1]
            read += 1
        states[place] = state

    def step(place: int) -> Callable[[int], object]:
        return lambda trial: memory.scan(xs[trial % 64], states[place], starts)

    sizes = {place: sum(leaf.numel() * leaf.element_size() for leaf in leaves(states[place])) for place in places}
    medians = _medians({place: step(place) for place in places})
    return {place: Cost(medians[place], sizes[place]) for place in places}


@torch.no_grad()
def _transformer_costs(rows: int, places: Sequence[int]) -> dict[int, Cost]:
    """The cache is filled with random tokens up to each place: what a step costs does not depend on their values."""
    transformer, xs = CachedTransformer(rows, max(places) + 1), torch.randn(64, rows, UNITS)

    def step(place: int) -> Callable[[int], object]:
        return lambda trial: transformer.step(xs[trial % 64], place)

    medians = _medians({place: step(place) for place in places})
    token = 2 * rows * UNITS * transformer.cache.element_size()
    return {place: Cost(medians[place], token * place) for place in places}


def measure_steps(rows: int, places: Sequence[int], bar: Bar) -> dict[str, dict[int, Cost]]:
    """Cost of one step after so many others, per memory and for the Transformer."""
    found: dict[str, dict[int, Cost]] = {}
    for name, (memory, options) in {**WITH_DEEP_AAREN, WINDOWED: ("transformer", {})}.items():
        if name != "none":
            bar.note(f"{name}, steps of {rows} rows")
            found[name] = _memory_costs(build_memory(memory, UNITS, options), rows, places)
    bar.note(f"{TRANSFORMER}, {rows} rows")
    found[TRANSFORMER] = _transformer_costs(rows, places)
    return found

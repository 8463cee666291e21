"""Cost of one step of a memory after a long stream, against a causal Transformer with a cache of keys and values.

Letters: B batch rows, H hidden, N tokens read so far.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rl_larnn.agents.benchmark.scans import UNITS
from rl_larnn.agents.benchmark.timing import take_turns
from rl_larnn.agents.benchmark.training import WITH_DEEP_AAREN
from rl_larnn.agents.reporting.reporter import Bar
from rl_larnn.memories import build_memory
from rl_larnn.memory import Memory
from rl_larnn.state import leaves

TRANSFORMER = "Transformer, keys and values kept"
WINDOWED = "Transformer, window of 20 read anew"
HEADS = 4
TRIALS = 200  # steps timed at each place, fewer where that would take too long


@dataclass(frozen=True)
class Cost:
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


def _costs(steps: Mapping[int, Callable[[], object]], sizes: Mapping[int, int]) -> dict[int, Cost]:
    """Costs from a step and the bytes of the state at each place."""
    times = take_turns(steps, TRIALS, warm_up=0, limit=10.0)
    return {place: Cost(times[place].median, sizes[place]) for place in steps}


@torch.no_grad()
def _memory_costs(memory: Memory, rows: int, places: Sequence[int]) -> dict[int, Cost]:
    """Read a stream up to each place, then time a step from there, as it is taken when acting: a scan of length one."""
    state, starts = memory.initial_state(rows), torch.zeros(1, rows, dtype=torch.bool)
    xs, read, steps, sizes = itertools.cycle(torch.randn(64, 1, rows, UNITS)), 0, {}, {}
    for place in sorted(places):
        for _ in range(place - read):
            state = memory.scan(next(xs), state, starts)[1]
        read = place
        steps[place] = lambda state=state: memory.scan(next(xs), state, starts)
        sizes[place] = sum(leaf.numel() * leaf.element_size() for leaf in leaves(state))
    return _costs(steps, sizes)


@torch.no_grad()
def _transformer_costs(rows: int, places: Sequence[int]) -> dict[int, Cost]:
    """The cache is filled with random tokens up to each place: what a step costs does not depend on their values."""
    transformer, xs = CachedTransformer(rows, max(places) + 1), itertools.cycle(torch.randn(64, rows, UNITS))
    token = 2 * rows * UNITS * transformer.cache.element_size()
    steps = {place: lambda place=place: transformer.step(next(xs), place) for place in places}
    return _costs(steps, {place: token * place for place in places})


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

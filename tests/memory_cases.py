"""Every memory of the table, with its defaults and with each of its options, small enough to test on.

Also what the tests of memories share: random inputs, random start flags, and what of a state is worth comparing.

Letters: T time, B batch rows, I input, H hidden.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from hypothesis import strategies as st
from torch import Tensor

from rl_larnn.memories import MEMORIES, Memory
from rl_larnn.scan import AverageState
from rl_larnn.state import State, detach, leaves, map_state, unpack

#: Something with the arguments and the results of ``Memory.scan``.
Run = Callable[[Tensor, State, Tensor], tuple[Tensor, State]]

ROWS, INPUTS, HIDDEN = 3, 5, 8  # B, I, H: all different, so that mixed-up axes do not pass unseen


@dataclass(frozen=True)
class Case:
    """A memory of the table with some options.

    :param couples_rows: in training mode one row depends on another (batch statistics): test in evaluation mode
    """

    memory: str
    options: Mapping[str, Any] = field(default_factory=dict)
    couples_rows: bool = False

    def __str__(self) -> str:
        return "-".join([self.memory, *(f"{name}={value}" for name, value in self.options.items())])

    def build(self, dtype: torch.dtype = torch.float64) -> Memory:
        """The memory with the same random parameters each time; in training mode if rows stay independent."""
        with torch.random.fork_rng():
            torch.manual_seed(7)
            memory = MEMORIES[self.memory](**{"input_size": INPUTS, "hidden_size": HIDDEN} | dict(self.options))
            for parameter in memory.parameters():
                parameter.data += 0.1 * torch.randn_like(parameter)  # nothing may hide behind a zero or a one
        return memory.to(dtype).train(not self.couples_rows)


DEFAULTS = [Case(name) for name in MEMORIES]

#: Several options in each, so that a few cases set every option and meet every branch of the scans.
VARIANTS = [
    Case("elman", {"layers": 2}),
    Case("gru", {"layers": 2, "horizon": 100}),
    Case("lstm", {"layers": 2, "horizon": 100}),
    Case("larnn", {"layers": 2, "heads": 1, "horizon": 100, "attention_scale": 1.0}),
    Case("larnn", {"window": 1, "kv_activation": False, "bounded": True}),
    Case("larnn", {"positions": "none", "norm": "none", "bounded": True}),
    Case("larnn", {"mode": "layer", "positions": "none", "kv_activation": False, "norm": "none", "window": 3}),
    Case("larnn", {"positions": "sinusoid", "norm": "batch"}, couples_rows=True),
    Case("larnn", {"mode": "layer", "residual": True, "layers": 2, "input_size": HIDDEN}),
    Case("aaren", {"layers": 2, "recency": "none", "heads": 1, "horizon": 100}),
    Case("aaren", {"phases": True, "heads": 2}),
    Case("aaren", {"recency": "gate", "clock": True}),
    Case("aaren", {"recency": "none", "phases": True, "gate": True, "heads": 1}),
    Case("aaren", {"recency": "gate", "phases": True, "clock": True, "gate": True, "heads": 2}),
    Case("transformer", {"layers": 1, "context": 1}),
    Case("transformer", {"layers": 3, "heads": 1, "context": 5}),
    Case("transformer", {"tokens": (2, 1, 2), "context": 3}),
]

CASES = DEFAULTS + VARIANTS


class Sequence(NamedTuple):
    """What a scan reads."""

    xs: Tensor  # (T, B, I)
    state: State  # of B rows
    starts: Tensor  # (T, B) bool


def sequence(memory: Memory, starts: Tensor, dtype: torch.dtype = torch.float64) -> Sequence:
    """Random inputs, and the state that some earlier random inputs have left, for the given start flags."""
    generator = torch.Generator().manual_seed(len(starts))
    xs = torch.randn(6 + len(starts), starts.shape[1], memory.input_size, generator=generator, dtype=torch.float64)
    xs = xs.to(dtype)
    with torch.no_grad():
        state = memory.initial_state(starts.shape[1])
        for x in xs[:6]:
            state = memory.step(x, state)[1]
    return Sequence(xs[6:], state, starts)


@st.composite
def start_flags(draw: st.DrawFn, steps: int, rows: int = ROWS) -> Tensor:
    """Flags ``(T, B)``: some starts anywhere, few or many, or one at each step, or none."""
    # The first example that hypothesis tries is the first choice here, so it has to be an interesting one.
    share = draw(st.sampled_from([0.1, 0.5, 0.02, 1.0, 0.0]))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 999)))
    return torch.rand(steps, rows, generator=generator) < share


def comparable(state: State) -> list[Tensor]:
    """What of a state has a meaning: its tensors; of a running average the mean and the log of the total weight.

    (m, u, w) and (m + k, u exp(-k), w exp(-k)) are the same memory, and an empty one (u = 0) has no mean.
    """
    if isinstance(state, Tensor):
        return [state]
    if isinstance(state, AverageState):
        filled = state.denominator > 0
        total = torch.where(filled, state.denominator, 1.0)
        return [filled.to(total.dtype), torch.where(filled, state.maximum + total.log(), 0.0),
                state.numerator / total.unsqueeze(-1)]  # fmt: skip
    return [leaf for part in state for leaf in comparable(part)]


def assert_same(found: tuple[Tensor, State], expected: tuple[Tensor, State], tolerance: float = 1e-10) -> None:
    """Same outputs, and states that mean the same."""
    pairs = zip([found[0], *comparable(found[1])], [expected[0], *comparable(expected[1])], strict=True)
    for left, right in pairs:
        torch.testing.assert_close(left, right, rtol=tolerance, atol=tolerance)


def run_with_gradients(memory: Memory, run: Run, data: Sequence) -> tuple[tuple[Tensor, State], list[Tensor]]:
    """What ``run`` returns, and the gradients of a random sum of all of it.

    The gradients are those by the parameters, then by the inputs, then by each tensor of the state before.
    """
    xs = data.xs.clone().requires_grad_()
    state = map_state(lambda leaf: leaf.clone().requires_grad_(), data.state)
    outputs, after = run(xs, state, data.starts)
    generator = torch.Generator().manual_seed(1)
    results = [outputs, *comparable(after)]
    weights = [torch.randn(tensor.shape, generator=generator, dtype=torch.float64) for tensor in results]
    loss = sum(((tensor * weight).sum() for tensor, weight in zip(results, weights, strict=True)), xs.new_zeros(()))
    variables = [*memory.parameters(), xs, *leaves(state)]
    found = torch.autograd.grad(loss, variables, allow_unused=True, materialize_grads=True)
    return (outputs.detach(), detach(after)), list(found)


def state_like(memory: Memory, rows: int, value: float) -> State:
    """A state with ``value`` in every place."""
    return unpack(memory.zeros(rows, memory.state_size) + value, memory.initial_state(rows))

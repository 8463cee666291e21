"""The native kernels, and the scans in torch that stand in for them, against the loop over steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from memory_cases import (
    CASES,
    ROWS,
    Case,
    Sequence,
    assert_same,
    run_with_gradients,
    sequence,
    start_flags,
    state_like,
)
from torch import Tensor

from rl_larnn import native
from rl_larnn.memories import MEMORIES, Memory
from rl_larnn.memories.gru import GruLayer
from rl_larnn.memories.larnn import LarnnLayer
from rl_larnn.memories.lstm import LstmLayer

needs_kernels = pytest.mark.skipif(not native.usable(torch.zeros(1), "lstm"), reason="no C++ compiler")

#: Sizes that fill no vector, several groups of rows, head widths with and without a loop of their own.
SIZES = [(1, 81, 3), (17, 20, 4), (40, 64, 4), (5, 72, 1)]

#: Memories with a kernel of their own. The others have one way to scan, which is held to the laws.
KERNEL_CASES = [case for case in CASES if case.memory in ("lstm", "gru", "larnn", "aaren")]


@pytest.fixture
def without_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "usable", lambda like, kernel: False)


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@needs_kernels
@pytest.mark.parametrize(
    ("name", "switches"),
    [
        ("lstm", {}),
        ("gru", {}),
        ("larnn", {}),
        ("aaren", {}),
        ("aaren", {"recency": "gate", "clock": True, "gate": True}),
    ],
    ids=["lstm", "gru", "larnn", "aaren", "aaren-switches"],
)
def test_any_size_and_several_threads(name: str, switches: dict[str, Any], threads: None) -> None:
    for rows, hidden, heads in SIZES:
        options = {"heads": heads, **switches} if name in ("larnn", "aaren") else {}
        torch.manual_seed(3)
        memory = MEMORIES[name](5, hidden, **options).double()
        starts = torch.rand(70, rows, generator=torch.Generator().manual_seed(rows)) < 0.1
        assert_scan_is_the_loop(memory, sequence(memory, starts), 1e-9)


def assert_scan_is_the_loop(memory: Memory, data: Sequence, tolerance: float) -> None:
    """Same outputs, final state and gradients from the memory's own scan and from the loop over steps."""
    found, found_gradients = run_with_gradients(memory, memory.scan, data)
    expected, expected_gradients = run_with_gradients(memory, partial(Memory.scan, memory), data)
    assert_same(found, expected, tolerance)
    for left, right in zip(found_gradients, expected_gradients, strict=True):
        torch.testing.assert_close(left, right, rtol=tolerance, atol=tolerance)


@needs_kernels
def test_any_number_of_rows() -> None:
    """The matrix product takes eight rows at a time and has a tile for each rest."""
    for rows in range(1, 18):
        torch.manual_seed(rows)
        memory = MEMORIES["lstm"](3, 5).double()
        data = sequence(memory, torch.rand(4, rows) < 0.2)
        with torch.no_grad():
            assert_same(memory.scan(*data), Memory.scan(memory, *data), 1e-9)


@needs_kernels
@pytest.mark.parametrize("case", KERNEL_CASES, ids=str)
def test_saturated_gates(case: Case) -> None:
    """Inputs so large that a careless exponential overflows."""
    memory = case.build()
    data = sequence(memory, torch.zeros(9, 3, dtype=torch.bool))
    data = data._replace(xs=data.xs * 1e3)
    with torch.no_grad():
        assert_same(memory.scan(*data), Memory.scan(memory, *data), 1e-9)


@pytest.mark.parametrize("case", KERNEL_CASES, ids=str)
def test_scans_without_kernels_equal_the_loop(case: Case, without_kernels: None) -> None:
    memory = case.build()

    @settings(max_examples=2)
    @given(starts=start_flags(70))
    def law(starts: Tensor) -> None:
        assert_scan_is_the_loop(memory, sequence(memory, starts), 1e-8)

    law()


@pytest.mark.parametrize("case", KERNEL_CASES, ids=str)
def test_scans_without_kernels_let_no_nan_past_a_start(case: Case, without_kernels: None) -> None:
    memory = case.build()
    data = sequence(memory, torch.zeros(9, ROWS, dtype=torch.bool))
    spoilt = state_like(memory, ROWS, float("nan"))
    data.starts[4] = True
    with torch.no_grad():
        outputs, after = memory.scan(data.xs.index_fill(0, torch.arange(4), float("nan")), spoilt, data.starts)
        assert_same((outputs[4:], after), memory.scan(data.xs[4:], memory.initial_state(ROWS), data.starts[4:]))
    data.starts[0] = True
    gradients = run_with_gradients(memory, memory.scan, data._replace(state=spoilt))[1]
    for found, expected in zip(gradients, run_with_gradients(memory, memory.scan, data)[1], strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8)


@needs_kernels
def test_tensors_that_are_not_contiguous_are_refused() -> None:
    with pytest.raises(ValueError, match="lstm_forward must be contiguous"):
        native.run("lstm_forward", (torch.zeros(4, 4).t(),))


BACKWARD_BY_HAND: dict[str, Callable[[], Memory]] = {
    "lstm": lambda: LstmLayer(2, 3),
    "gru": lambda: GruLayer(2, 3),
    "larnn residual": lambda: LarnnLayer(2, 4, 3, 2, "residual", "bias", True, "layer"),
    "larnn layer": lambda: LarnnLayer(2, 4, 3, 2, "layer", "none", False, "none"),
}


@pytest.mark.parametrize("name", BACKWARD_BY_HAND)
def test_hand_written_backward_passes_pass_gradcheck(name: str) -> None:
    layer = BACKWARD_BY_HAND[name]().double()
    starts = torch.tensor([[False, True], [False, False], [True, True], [False, False], [False, True]])
    xs, state, _ = sequence(layer, starts)
    fields = [field for field in state._fields if field != "filled"]  # a number of cells has no gradient
    before = [getattr(state, field).requires_grad_() for field in fields]

    def run(xs: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
        outputs, after = layer.scan(xs, state._replace(**dict(zip(fields, others, strict=False))), starts)
        return outputs, *(getattr(after, field) for field in fields)

    # gradcheck moves the parameters themselves, so the layer need not be told which they are.
    assert torch.autograd.gradcheck(run, (xs.requires_grad_(), *before, *layer.parameters()), fast_mode=True)

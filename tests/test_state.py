"""States: the operations on them, and what the states of every memory of the table have in common."""

from __future__ import annotations

import io
from typing import NamedTuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from memory_cases import CASES, ROWS, Case, assert_same, sequence
from torch import Tensor

from rl_larnn.memories import Memory
from rl_larnn.state import State, detach, leaves, map_state, pack, packed_width, rows, select, unpack

STEPS = 12
NO_STARTS = torch.zeros(STEPS, ROWS, dtype=torch.bool)

every_case = pytest.mark.parametrize("case", CASES, ids=str)


class Inner(NamedTuple):
    square: Tensor
    nothing: Tensor


class Outer(NamedTuple):
    vector: Tensor
    layers: tuple[Inner, ...]


def example(batch: int, seed: int = 0) -> Outer:
    """A nested state with each awkward shape: ``(B,)``, a square as wide as a batch, and nothing at all."""
    generator = torch.Generator().manual_seed(seed)

    def inner() -> Inner:
        return Inner(torch.randn(batch, 3, 3, generator=generator), torch.randn(batch, 0, generator=generator))

    return Outer(torch.randn(batch, generator=generator), (inner(), inner()))


def form(state: State) -> list[object]:
    """Types, shapes and dtypes, all the way down."""
    if isinstance(state, Tensor):
        return [tuple(state.shape), state.dtype]
    return [type(state), *map(form, state)]


def assert_identical(found: State, expected: State) -> None:
    assert form(found) == form(expected)
    assert all(torch.equal(left, right) for left, right in zip(leaves(found), leaves(expected), strict=True))


@given(batch=st.integers(0, 4), seed=st.integers(0, 99))
def test_unpack_undoes_pack_exactly(batch: int, seed: int) -> None:
    state = example(batch, seed)
    packed = pack(state)
    assert packed.shape == (batch, packed_width(state)) == (batch, 19)
    for like in (state, example(1), example(0)):
        assert_identical(unpack(packed, like), state)
    torch.testing.assert_close(packed[:, 0], state.vector)  # fields in their order, first field first


def test_unpack_refuses_other_shapes() -> None:
    for shape in ((2, 18), (2, 20), (19,), (1, 2, 19)):
        with pytest.raises(ValueError) as error:
            unpack(torch.zeros(shape), example(2))
        assert str(error.value) == f"a packed state of this memory has shape (batch, 19), got {shape}"


@given(flags=st.lists(st.booleans(), min_size=3, max_size=3))
def test_select_chooses_rows_even_where_a_feature_is_as_wide_as_the_batch(flags: list[bool]) -> None:
    fresh, old = example(3, 1), example(3, 2)
    for chosen, one, other in zip(*map(leaves, (select(torch.tensor(flags), fresh, old), fresh, old)), strict=True):
        for row, flag in enumerate(flags):
            assert torch.equal(chosen[row], (one if flag else other)[row])


def test_select_broadcasts_one_initial_row() -> None:
    fresh, old = example(1, 1), example(3, 2)
    chosen = select(torch.tensor([True, False, True]), fresh, old)
    assert_identical(rows(chosen, [0, 2]), rows(fresh, [0, 0]))
    assert_identical(rows(chosen, [1]), rows(old, [1]))


def test_select_keeps_nan_out_of_values_and_gradients() -> None:
    old = torch.tensor([float("nan"), 2.0], requires_grad=True)
    (chosen,) = select(torch.tensor([True, False]), (torch.zeros(2),), (old,))
    chosen.sum().backward()
    assert chosen.tolist() == [0.0, 2.0]
    assert old.grad is not None and old.grad.tolist() == [0.0, 1.0]


def test_detach_cuts_every_tensor() -> None:
    state = map_state(lambda leaf: leaf.requires_grad_(), example(2))
    assert all(leaf.requires_grad for leaf in leaves(state))
    assert_identical(detach(state), state)
    assert not any(leaf.requires_grad for leaf in leaves(detach(state)))


def test_states_of_different_depth_are_refused() -> None:
    shallow = Outer(torch.zeros(2), (example(2).layers[0],))
    with pytest.raises(ValueError, match="zip"):
        map_state(torch.add, example(2), shallow)


@every_case
def test_the_initial_state_packs_to_zeros_of_state_size(case: Case) -> None:
    memory = case.build()
    packed = pack(memory.initial_state(ROWS))
    assert packed.shape == (ROWS, memory.state_size)
    assert packed.dtype == torch.float64
    assert not packed.any()


@every_case
def test_states_keep_shapes_and_dtypes(case: Case) -> None:
    for dtype in (torch.float32, torch.float64):
        memory = case.build(dtype)
        initial = memory.initial_state(ROWS)
        data = sequence(memory, NO_STARTS, dtype)
        y, stepped = memory.step(data.xs[0], initial)
        ys, scanned = memory.scan(*data)
        assert (y.shape, y.dtype) == ((ROWS, memory.output_size), dtype)
        assert (ys.shape, ys.dtype) == ((STEPS, ROWS, memory.output_size), dtype)
        assert form(stepped) == form(scanned) == form(initial)
        assert all(leaf.shape[0] == ROWS and leaf.dtype == dtype for leaf in leaves(initial))


@every_case
def test_no_argument_or_result_is_changed_in_place(case: Case) -> None:
    memory = case.build()
    starts = NO_STARTS.clone()
    starts[4, 1] = starts[0, 2] = True
    data = sequence(memory, starts)
    with torch.no_grad():  # where the temptation to work in place is greatest
        outputs, after = memory.scan(*data)
        stepped = memory.step(data.xs[0], data.state)[1]
        known = [data.xs, starts, outputs, *leaves(data.state), *leaves(after), *leaves(stepped)]
        copies = [tensor.clone() for tensor in known]
        for state in (data.state, after, stepped, memory.initial_state(ROWS)):
            memory.scan(data.xs, state, starts)
            memory.step(data.xs[0], state)
    assert all(torch.equal(tensor, copy) for tensor, copy in zip(known, copies, strict=True))


@every_case
def test_a_second_run_from_the_initial_state_is_the_same(case: Case) -> None:
    memory = case.build()
    data = sequence(memory, NO_STARTS)
    with torch.no_grad():
        first = memory.scan(data.xs, memory.initial_state(ROWS), data.starts)
        assert_same(memory.scan(data.xs, memory.initial_state(ROWS), data.starts), first, tolerance=0.0)


@every_case
def test_a_packed_state_continues_the_run_exactly(case: Case) -> None:
    memory = case.build()
    data = sequence(memory, NO_STARTS)
    restored = unpack(pack(data.state), memory.initial_state(1))
    assert_identical(restored, data.state)
    assert_same(memory.scan(data.xs, restored, data.starts), memory.scan(*data), tolerance=1e-14)


@every_case
def test_multiplying_a_packed_state_by_zero_resets_it(case: Case) -> None:
    memory = case.build()
    data = sequence(memory, NO_STARTS)
    keep = torch.tensor([[1.0], [0.0], [1.0]], dtype=torch.float64)
    by_product = unpack(keep * pack(data.state), data.state)
    by_choice = select(keep.flatten() == 0, memory.initial_state(ROWS), data.state)
    with torch.no_grad():
        assert_same(memory.step(data.xs[0], by_product), memory.step(data.xs[0], by_choice), tolerance=1e-14)
        found, expected = (memory.scan(data.xs, state, NO_STARTS) for state in (by_product, by_choice))
    assert_same(found, expected, tolerance=1e-14)


@every_case
def test_a_saved_state_dict_restores_the_memory(case: Case) -> None:
    memory, other = case.build(), case.build()
    data = sequence(memory, NO_STARTS)
    for parameter in other.parameters():
        parameter.data.normal_()
    assert not torch.equal(other.scan(*data)[0], memory.scan(*data)[0])
    stored = io.BytesIO()
    torch.save(memory.state_dict(), stored)
    stored.seek(0)
    other.load_state_dict(torch.load(stored, weights_only=True))
    assert_same(other.scan(*data), memory.scan(*data), tolerance=1e-14)


class Counter(Memory):
    """Counts the steps since the start; the input does not matter."""

    def __init__(self) -> None:
        super().__init__(1, 1)

    def initial_state(self, batch_size: int) -> Inner:
        return Inner(self.zeros(batch_size, 1), self.zeros(batch_size, 0))

    def step(self, x: Tensor, state: Inner) -> tuple[Tensor, Inner]:
        count = state.square + 1
        return count, Inner(count, state.nothing)


def test_the_default_scan_counts_steps_since_a_start() -> None:
    counter = Counter()
    starts = torch.tensor([[True, False], [False, False], [True, False], [False, True], [False, False]])
    state = Inner(torch.tensor([[7.0], [7.0]]), torch.zeros(2, 0))
    counts, after = counter.scan(torch.zeros(5, 2, 1), state, starts)
    assert counts[:, 0, 0].tolist() == [1, 2, 1, 2, 3]
    assert counts[:, 1, 0].tolist() == [8, 9, 10, 1, 2]
    assert after.square.flatten().tolist() == [3, 2]
    assert counter.state_size == 1

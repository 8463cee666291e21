"""The laws that make a module a memory, for every memory of the table and each of its options.

The laws of states alone are in ``test_state.py``.
"""

from __future__ import annotations

import inspect
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_cases import (
    CASES,
    ROWS,
    Case,
    Run,
    Sequence,
    assert_same,
    run_with_gradients,
    sequence,
    start_flags,
    state_like,
)
from torch import Tensor

from rl_larnn.memories import MEMORIES, Memory
from rl_larnn.state import State, leaves, rows, select

STEPS = 12  # with the 6 before them, more than the windows of all but the default Transformer
EXAMPLES = settings(max_examples=2)  # of each case
NAN, INFINITY = float("nan"), float("inf")

every_case = pytest.mark.parametrize("case", CASES, ids=str)
spoilt_rows = st.sets(st.integers(0, ROWS - 1), min_size=1).map(
    lambda chosen: torch.tensor([row in chosen for row in range(ROWS)])
)


def assert_same_with_gradients(memory: Memory, one: tuple[Run, Sequence], other: tuple[Run, Sequence]) -> list[Tensor]:
    """Same outputs, final state and gradients from two runs; the gradients."""
    found, found_gradients = run_with_gradients(memory, *one)
    expected, expected_gradients = run_with_gradients(memory, *other)
    assert_same(found, expected)
    left, right = (torch.cat([part.flatten() for part in parts]) for parts in (found_gradients, expected_gradients))
    torch.testing.assert_close(left, right, rtol=1e-8, atol=1e-8)
    return found_gradients


def test_each_memory_of_the_library_is_a_case() -> None:
    own = {name for name, memory in MEMORIES.items() if memory.__module__.startswith("rl_larnn.")}
    assert own == {case.memory for case in CASES}


def test_each_option_is_set_in_a_case() -> None:
    for name in {case.memory for case in CASES}:
        for option in inspect.signature(MEMORIES[name]).parameters.values():
            if option.name in ("input_size", "hidden_size"):
                continue
            tried = {case.options[option.name] for case in CASES if case.memory == name and option.name in case.options}
            assert tried - {option.default}, f"no case of {name} sets {option.name}"


@every_case
def test_scan_is_step_repeated(case: Case) -> None:
    memory = case.build()
    for steps in (1, 15, 64, 130):

        @settings(max_examples=2 if steps < 64 else 1)
        @given(starts=start_flags(steps))
        def law(starts: Tensor) -> None:
            data = sequence(memory, starts)
            assert_same_with_gradients(memory, (memory.scan, data), (partial(Memory.scan, memory), data))

        law()


@every_case
def test_a_cut_with_the_state_carried_over_changes_nothing(case: Case) -> None:
    memory = case.build()

    @EXAMPLES
    @given(starts=start_flags(STEPS), cut=st.integers(1, STEPS - 1))
    def law(starts: Tensor, cut: int) -> None:
        def in_two(xs: Tensor, state: State, starts: Tensor) -> tuple[Tensor, State]:
            first, state = memory.scan(xs[:cut], state, starts[:cut])
            second, state = memory.scan(xs[cut:], state, starts[cut:])
            return torch.cat([first, second]), state

        data = sequence(memory, starts)
        assert_same_with_gradients(memory, (in_two, data), (memory.scan, data))

    law()


@every_case
def test_a_start_is_a_fresh_run_whatever_came_before(case: Case) -> None:
    memory = case.build()

    @EXAMPLES
    @given(starts=start_flags(STEPS), spoilt=spoilt_rows, begin=st.integers(0, STEPS - 1))
    @torch.no_grad()
    def law(starts: Tensor, spoilt: Tensor, begin: int) -> None:
        data = sequence(memory, starts)
        data.starts[begin] |= spoilt
        to_forget = (torch.arange(STEPS) < begin).unsqueeze(1) & spoilt  # (T, B)
        clean = memory.scan(*data)
        fresh = memory.scan(data.xs[begin:], memory.initial_state(ROWS), data.starts[begin:])
        for bad in (NAN, INFINITY):
            state = select(spoilt, state_like(memory, ROWS, bad), data.state)
            outputs, after = memory.scan(data.xs.masked_fill(to_forget.unsqueeze(-1), bad), state, data.starts)
            assert_same((outputs[~to_forget], after), (clean[0][~to_forget], clean[1]))
            assert_same((outputs[begin:, spoilt], rows(after, spoilt)), (fresh[0][:, spoilt], rows(fresh[1], spoilt)))

    law()


@every_case
def test_a_start_keeps_a_bad_state_out_of_the_gradients(case: Case) -> None:
    memory = case.build()

    @EXAMPLES
    @given(starts=start_flags(STEPS), spoilt=spoilt_rows)
    def law(starts: Tensor, spoilt: Tensor) -> None:
        data = sequence(memory, starts)
        data.starts[0] |= spoilt
        for bad in (NAN, INFINITY):
            bad_data = data._replace(state=select(spoilt, state_like(memory, ROWS, bad), data.state))
            found = assert_same_with_gradients(memory, (memory.scan, bad_data), (memory.scan, data))
            by_state = found[-len(leaves(data.state)) :]
            assert not any(gradient[spoilt].any() for gradient in by_state)

    law()


@every_case
def test_no_output_sees_the_future(case: Case) -> None:
    memory = case.build()

    @EXAMPLES
    @given(starts=start_flags(STEPS), now=st.integers(1, STEPS - 1))
    @torch.no_grad()
    def law(starts: Tensor, now: int) -> None:
        data = sequence(memory, starts)
        future = (torch.arange(STEPS) >= now).unsqueeze(1)
        expected = memory.scan(*data)[0][:now]
        for change in (1.0, NAN):
            xs = torch.where(future.unsqueeze(-1), data.xs + change, data.xs)
            outputs, _ = memory.scan(xs, data.state, starts ^ future)
            torch.testing.assert_close(outputs[:now], expected, rtol=1e-12, atol=1e-12)

    law()


@every_case
def test_rows_do_not_affect_rows(case: Case) -> None:
    memory = case.build()

    @EXAMPLES
    @given(starts=start_flags(STEPS), row=st.integers(0, ROWS - 1))
    @torch.no_grad()
    def law(starts: Tensor, row: int) -> None:
        data = sequence(memory, starts)
        one = slice(row, row + 1)
        alone = memory.scan(data.xs[:, one], rows(data.state, one), starts[:, one])
        others = torch.arange(ROWS) != row
        for change in (1.0, NAN):
            xs = torch.where(others.unsqueeze(-1), data.xs + change, data.xs)
            outputs, after = memory.scan(xs, data.state, starts ^ others)
            assert_same((outputs[:, one], rows(after, one)), alone)

    law()


@every_case
def test_every_parameter_is_registered_and_gets_a_gradient(case: Case) -> None:
    memory = case.build()
    data = sequence(memory, torch.zeros(STEPS, ROWS, dtype=torch.bool))
    for run in (memory.scan, partial(Memory.scan, memory)):
        outputs, _ = run(*data)
        assert _variables_of(outputs) == {id(parameter) for parameter in memory.parameters()}
        memory.zero_grad()
        outputs.sum().backward()
        assert [name for name, parameter in memory.named_parameters() if parameter.grad is None] == []


def _variables_of(result: Tensor) -> set[int]:
    """The ``id`` of every trainable tensor that a graph ends in, whether or not a module knows it."""
    found: set[int] = set()
    seen: set[Any] = set()
    todo: list[Any] = [result.grad_fn]
    while todo:
        node = todo.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            found.add(id(node.variable))
        todo.extend(below for below, _ in node.next_functions)
    return found


@every_case
def test_acting_without_gradients_gives_the_same_numbers(case: Case) -> None:
    memory = case.build()
    data = sequence(memory, torch.zeros(STEPS, ROWS, dtype=torch.bool))
    with_graph = memory.step(data.xs[0], data.state), memory.scan(*data)
    with torch.no_grad():
        without = memory.step(data.xs[0], data.state), memory.scan(*data)
    for found, expected in zip(without, with_graph, strict=True):
        assert not found[0].requires_grad
        assert_same(found, expected, tolerance=1e-14)


@every_case
def test_single_precision_follows_double(case: Case) -> None:
    starts = torch.zeros(40, ROWS, dtype=torch.bool)
    starts[20, 0] = starts[33] = True
    double, single = case.build(), case.build(torch.float32)
    expected = double.scan(*sequence(double, starts))[0]
    for run in (single.scan, partial(Memory.scan, single)):
        found = run(*sequence(single, starts, torch.float32))[0]
        torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-4)

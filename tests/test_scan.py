"""The running softmax average, against a softmax written out token by token.

Letters: T time, B batch rows, A heads, D head width.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from memory_cases import assert_same, start_flags
from torch import Tensor

from rl_larnn import scan
from rl_larnn.scan import LATEST, AverageState, average_scan, average_step
from rl_larnn.state import leaves, map_state, select

ROWS, HEADS, WIDTH = 3, 2, 4

#: Where a decay per head is expected: draw a decay for each token.
PER_TOKEN: list[float] = []

#: Something with the arguments of :func:`average_scan`.
Run = Callable[[Tensor, Tensor, Tensor | None, AverageState, Tensor, Tensor | None, bool], tuple[Tensor, Any]]


class Tokens(NamedTuple):
    """The arguments of :func:`average_scan`, in its order."""

    scores: Tensor
    values: Tensor
    decay: Tensor | None
    state: AverageState
    starts: Tensor
    phase: Tensor | None = None
    clock: bool = False


def empty(rows: int = ROWS, dtype: torch.dtype = torch.float64) -> AverageState:
    return AverageState(
        torch.zeros(rows, HEADS, dtype=dtype),
        torch.zeros(rows, HEADS, dtype=dtype),
        torch.zeros(rows, HEADS, WIDTH, dtype=dtype),
    )


def tokens(
    starts: Tensor,
    spread: float = 3.0,
    decays: list[float] | None = None,
    carried: bool = True,
    phases: bool = False,
    clock: bool = False,
) -> Tokens:
    """Random tokens with scores up to about ``spread``, after a carried average that one row in three lacks.

    :param decays: per head; :data:`PER_TOKEN` for random ones of both signs, another at each token
    """
    generator = torch.Generator().manual_seed(5)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    steps, rows = starts.shape
    scores = (spread * draw(steps, rows, HEADS)).clamp(-spread, spread)
    old = AverageState(spread * draw(rows, HEADS), 0.1 + draw(rows, HEADS).abs(), draw(rows, HEADS, WIDTH))
    without = torch.arange(rows) % 3 == (1 if carried else torch.arange(rows) % 3)
    decay = None if decays is None else torch.tensor(decays, dtype=torch.float64)
    if decays is PER_TOKEN:
        decay = draw(steps, rows, HEADS)
    values, state = draw(steps, rows, HEADS, WIDTH), select(without, empty(rows), old)
    return Tokens(scores, values, decay, state, starts, 3 * draw(HEADS, WIDTH // 2) if phases else None, clock)


def softmax_average(given_tokens: Tokens, t: int, b: int) -> Tensor:
    """The output at step t of row b ``(A, D)``: one softmax over all that its episode has shown."""
    scores, values, decay, state, starts, phase, clock = given_tokens
    decay = (scores.new_zeros(HEADS) if decay is None else decay).expand(scores.shape)[:, b]
    phase = scores.new_zeros(HEADS, WIDTH // 2) if phase is None else phase
    opened = starts[: t + 1, b].nonzero().flatten().tolist()
    first = opened[-1] if opened else 0
    age = torch.arange(t - first, -1, -1).unsqueeze(1)
    aged = torch.stack([decay[i + 1 : t + 1].sum(0) for i in range(first, t + 1)])
    logits, seen = scores[first : t + 1, b] - aged, turned(values[first : t + 1, b], age.unsqueeze(2) * phase)
    if not opened and bool((state.denominator[b] > 0).all()):  # the carried average counts as one more token
        carried = state.maximum[b] + state.denominator[b].log() - decay[: t + 1].sum(0)
        logits = torch.cat([carried.unsqueeze(0), logits])
        average = state.numerator[b] / state.denominator[b].unsqueeze(-1)
        seen = torch.cat([turned(average, (t + 1) * phase).unsqueeze(0), seen])
    average = (torch.softmax(logits, 0).unsqueeze(-1) * seen).sum(0)
    if not clock:
        return average
    return torch.cat([average, (logits.logsumexp(0) - scores[t, b]).clamp(max=LATEST).unsqueeze(-1)], -1)


def turned(values: Tensor, angle: Tensor) -> Tensor:
    """The pairs as complex numbers, times exp(-i angle)."""
    pairs = torch.complex(*values.chunk(2, -1)) * torch.polar(torch.ones_like(angle), -angle)
    return torch.cat([pairs.real, pairs.imag], -1)


def written_out(
    scores: Tensor,
    values: Tensor,
    decay: Tensor | None,
    state: AverageState,
    starts: Tensor,
    phase: Tensor | None = None,
    clock: bool = False,
) -> tuple[Tensor, None]:
    """:func:`softmax_average` for every step and row, ``(T, B, A, D)``."""
    given_tokens = Tokens(scores, values, decay, state, starts, phase, clock)
    steps, rows = starts.shape
    return torch.stack(
        [torch.stack([softmax_average(given_tokens, t, b) for b in range(rows)]) for t in range(steps)]
    ), None


def by_steps(
    scores: Tensor,
    values: Tensor,
    decay: Tensor | None,
    state: AverageState,
    starts: Tensor,
    phase: Tensor | None = None,
    clock: bool = False,
) -> tuple[Tensor, AverageState]:
    decays = decay if decay is not None and decay.dim() == 3 else [decay] * len(scores)
    outputs = []
    initial = map_state(torch.zeros_like, state)
    for score, value, aging, start in zip(scores, values, decays, starts, strict=True):
        output, state = average_step(score, value, aging, select(start, initial, state), phase, clock)
        outputs.append(output)
    return torch.stack(outputs), state


decay_choices = st.sampled_from([None, [0.0, 0.01], [0.3, 5.0], [-0.3, -2.0], PER_TOKEN])


@pytest.fixture(params=[1, 7, 64, None], ids="block={}".format)
def block(request: pytest.FixtureRequest) -> Iterator[int | None]:
    """Scan in torch, in blocks of so many steps; None: by the native kernel."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param is not None:
            patch.setattr(scan, "BLOCK", request.param)
            patch.setattr(scan.native, "usable", lambda like, kernel: False)
        yield request.param


@pytest.mark.usefixtures("block")
@given(
    starts=start_flags(20),
    spread=st.floats(0.0, 300.0),
    decays=decay_choices,
    shift=st.sampled_from([-300.0, 0.0, 300.0]),
    phases=st.booleans(),
    clock=st.booleans(),
)
def test_outputs_are_softmax_averages(
    starts: Tensor, spread: float, decays: list[float] | None, shift: float, phases: bool, clock: bool
) -> None:
    given_tokens = tokens(starts, spread, decays, phases=phases, clock=clock)
    given_tokens = given_tokens._replace(scores=given_tokens.scores + shift)
    expected = written_out(*given_tokens)[0]
    for run in (average_scan, by_steps):
        torch.testing.assert_close(run(*given_tokens)[0], expected, rtol=1e-10, atol=1e-10)


@pytest.mark.usefixtures("block")
@given(starts=start_flags(20), decays=decay_choices, carried=st.booleans(), phases=st.booleans(), clock=st.booleans())
def test_scan_is_step_repeated_whatever_the_block(
    starts: Tensor, decays: list[float] | None, carried: bool, phases: bool, clock: bool
) -> None:
    given_tokens = tokens(starts, 10.0, decays, carried, phases, clock)
    assert_same(average_scan(*given_tokens), by_steps(*given_tokens), tolerance=1e-12)


@pytest.mark.usefixtures("block")
@given(starts=start_flags(12), decays=decay_choices, phases=st.booleans(), clock=st.booleans())
def test_gradients_are_those_of_the_softmax(
    starts: Tensor, decays: list[float] | None, phases: bool, clock: bool
) -> None:
    found, stepped, expected = (
        _gradients(run, tokens(starts, 3.0, decays, phases=phases, clock=clock))
        for run in (average_scan, by_steps, written_out)
    )
    for scanned, step, softmax in zip(found, stepped, expected, strict=True):
        torch.testing.assert_close(scanned, softmax, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(step, softmax, rtol=1e-9, atol=1e-9)


def _gradients(run: Run, given_tokens: Tokens) -> list[Tensor]:
    """By scores, values, the carried average and, where there are any, the decay and the phases."""
    scores, values = (tensor.clone().requires_grad_() for tensor in given_tokens[:2])
    state = map_state(lambda leaf: leaf.clone().requires_grad_(), given_tokens.state)
    decay, phase = (None if x is None else x.clone().requires_grad_() for x in (given_tokens.decay, given_tokens.phase))
    outputs, _ = run(scores, values, decay, state, given_tokens.starts, phase, given_tokens.clock)
    weight = torch.randn(outputs.shape, generator=torch.Generator().manual_seed(2), dtype=outputs.dtype)
    variables = [scores, values, *leaves(state), *(x for x in (decay, phase) if x is not None)]
    return list(torch.autograd.grad((outputs * weight).sum(), variables, allow_unused=True, materialize_grads=True))


@pytest.mark.parametrize("decays", [None, [0.001, 0.5]], ids=["plain", "decay"])
def test_long_sequences_stay_exact_in_single_precision(decays: list[float] | None) -> None:
    steps = 5000
    starts = torch.zeros(steps, ROWS, dtype=torch.bool)
    starts[steps // 2, 0] = True
    single = cast(tokens(starts, 5.0, decays), torch.float32)
    double = cast(single, torch.float64)
    outputs, after = average_scan(*single)
    expected, expected_after = average_scan(*double)
    torch.testing.assert_close(outputs.double(), expected, rtol=0, atol=1e-5)
    assert_same((outputs[-1].double(), map_state(torch.Tensor.double, after)), (expected[-1], expected_after), 1e-5)
    for t in (steps // 2, steps - 1):
        last = torch.stack([softmax_average(double, t, b) for b in range(ROWS)])
        torch.testing.assert_close(expected[t], last, rtol=1e-10, atol=1e-10)


def cast(given_tokens: Tokens, dtype: torch.dtype) -> Tokens:
    scores, values, decay, state, starts, *_ = given_tokens
    state = map_state(lambda leaf: leaf.to(dtype), state)
    return Tokens(scores.to(dtype), values.to(dtype), None if decay is None else decay.to(dtype), state, starts)


@pytest.mark.usefixtures("block")
def test_adding_a_constant_to_all_scores_changes_nothing() -> None:
    starts = torch.zeros(10, 1, dtype=torch.bool)
    for score, dtype, run in itertools.product(
        (-1e4, -120.0, 120.0, 1e4), (torch.float32, torch.float64), (average_scan, by_steps)
    ):
        values = torch.arange(10.0, dtype=dtype).view(10, 1, 1, 1).expand(10, 1, HEADS, WIDTH)
        scores = torch.full((10, 1, HEADS), score, dtype=dtype)
        outputs, after = run(scores, values, None, empty(1, dtype), starts)
        expected = torch.arange(10, dtype=dtype) / 2  # the mean of 0 ... t
        digits = torch.finfo(dtype).eps * abs(score)  # a carried m + log u has no digits finer than those of m
        torch.testing.assert_close(outputs[:, 0, 0, 0], expected, rtol=digits, atol=1e-6)
        assert all(torch.isfinite(leaf).all() for leaf in after)


@pytest.mark.usefixtures("block")
@given(first=st.floats(-1e30, 1e30), second=st.floats(-1e30, 1e30))
def test_of_two_distant_scores_the_larger_has_all_the_weight(first: float, second: float) -> None:
    if abs(first - second) < 1e3:
        second = first + (1e3 if abs(first) < 1e15 else abs(first))
    values = torch.tensor([1.0, 2.0], dtype=torch.float64).view(2, 1, 1, 1).expand(2, 1, HEADS, WIDTH)
    scores = torch.tensor([first, second], dtype=torch.float64).view(2, 1, 1).expand(2, 1, HEADS)
    for run in (average_scan, by_steps):
        outputs, _ = run(scores, values, None, empty(1), torch.zeros(2, 1, dtype=torch.bool))
        assert outputs[:, 0, 0, 0].tolist() == [1.0, 2.0 if second > first else 1.0]


@pytest.mark.usefixtures("block")
def test_a_start_forgets_exactly() -> None:
    """What came before a start does not enter, not even as a rounding error."""
    starts = torch.zeros(20, ROWS, dtype=torch.bool)
    starts[9] = True
    given_tokens = tokens(starts, 300.0, [0.0, 0.3])
    other = given_tokens._replace(values=given_tokens.values * (1 + 1e8 * (torch.arange(20) < 9).view(-1, 1, 1, 1)))
    assert torch.equal(average_scan(*given_tokens)[0][9:], average_scan(*other)[0][9:])

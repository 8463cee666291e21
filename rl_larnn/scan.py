"""The running softmax average: attention with one fixed query, as a step and as an exact scan.

Letters: T time, B batch rows, A heads, D head width.

With scores s and values v, the output after token t is the average of v_1 ... v_t with weights proportional to
exp(s_i - c_{i+1} - ... - c_t), where c_t is the decay with which token t ages all that came before it: the same at
every step, or a function of the token (a forget gate of exp(-c_t)). c = 0 is plain attention; c > 0 prefers what is
recent, c < 0 what came first. The average is carried in three numbers per head, as in "Attention as an RNN" (Feng et
al., 2024, arXiv 2405.13956, sections 3.1 and 3.2):

    m  the running maximum of the scores            m_t = max(m_{t-1} - c_t, s_t)
    u  the sum of the weights relative to m         u_t = u_{t-1} exp(m_{t-1} - c_t - m_t) + exp(s_t - m_t)
    w  the weighted sum of values relative to m     w_t = w_{t-1} exp(m_{t-1} - c_t - m_t) + v_t exp(s_t - m_t)

and the output is w_t / u_t. (m + k, u exp(-k), w exp(-k)) is the same memory for every k, so the maximum needs no
gradient and is detached.

The clock, log(u_t / exp(s_t - m_t)), is the log of the total weight relative to that of the newest token: 0 at the
first token and log t for equal scores without decay. It is the normaliser that the division removes, in units that do
not depend on the level of the scores.

With phases p, the features of a head are D / 2 pairs, and each step turns those of w_{t-1} by p before v_t is added.
The output is then the average of the v_i turned by p (t - i), from which a linear layer can read what was seen how long
ago (complex decays, as in the LRU: Orvieto et al., 2023, arXiv 2303.06349).

On the CPU the scan is a native loop (``native/average.h``): time and memory grow linearly with T. Elsewhere it runs in
blocks of :data:`BLOCK` steps, each one dense masked softmax, with the carried state as the first token.

Differs from the paper: the empty memory is u = 0 (then m is read as minus infinity), so that a state of zeros is
exactly empty; starting from m = 0, as printed, is wrong for scores far below zero.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from rl_larnn import native
from rl_larnn.state import select

#: Steps handled by one dense masked softmax, where there is no native loop.
#: Time and memory are T * BLOCK; 64 was the fastest of 16 ... 256.
BLOCK = 64


#: The largest value of the clock: that of about five hundred million tokens of equal weight.
LATEST = 20.0


class AverageState(NamedTuple):
    """A running softmax average per head; zeros mean "nothing read yet"."""

    maximum: Tensor  # (B, A)     m
    denominator: Tensor  # (B, A)     u
    numerator: Tensor  # (B, A, D)  w


def turn(values: Tensor, angle: Tensor) -> Tensor:
    """Turn pairs of features: feature d goes with feature d + D / 2.

    :param values: ``(..., D)``
    :param angle: ``(..., D / 2)``, in radians; 90 degrees bring the second feature to the place of the first
    """
    first, second = values.chunk(2, -1)
    cosine, sine = angle.cos(), angle.sin()
    return torch.cat([first * cosine + second * sine, second * cosine - first * sine], -1)


def average_step(
    score: Tensor,
    value: Tensor,
    decay: Tensor | None,
    state: AverageState,
    phase: Tensor | None = None,
    clock: bool = False,
) -> tuple[Tensor, AverageState]:
    """Read one token.

    :param score: ``(B, A)``
    :param value: ``(B, A, D)``
    :param decay: c, ``(A,)`` or ``(B, A)``; None for 0
    :param state: the average of the tokens so far
    :param phase: p, ``(A, D / 2)`` in radians; None for 0
    :param clock: append the clock, at most :data:`LATEST`
    :return: the average with this token in it ``(B, A, D)``, or ``(B, A, D + 1)``, and the state that holds it
    """
    old = _log_scale(state, decay)
    maximum = torch.maximum(old, score).detach()
    # exp(-inf - finite) is 0 with a zero gradient; the maximum is finite because the score is.
    keep, take = torch.exp(old - maximum), torch.exp(score - maximum)
    denominator = state.denominator * keep + take
    old_numerator = state.numerator if phase is None else turn(state.numerator, phase)
    numerator = old_numerator * keep.unsqueeze(-1) + value * take.unsqueeze(-1)
    average, after = numerator / denominator.unsqueeze(-1), AverageState(maximum, denominator, numerator)
    return (_with_clock(average, denominator.log() + maximum - score) if clock else average), after


def average_scan(
    scores: Tensor,
    values: Tensor,
    decay: Tensor | None,
    state: AverageState,
    starts: Tensor,
    phase: Tensor | None = None,
    clock: bool = False,
) -> tuple[Tensor, AverageState]:
    """Read a sequence: equal to :func:`average_step` repeated.

    :param scores: ``(T, B, A)``
    :param values: ``(T, B, A, D)``
    :param decay: c, ``(A,)`` or ``(T, B, A)``; None for 0
    :param state: the average carried in
    :param starts: ``(T, B)`` bool; true forgets everything before that token
    :param phase: p, ``(A, D / 2)`` in radians; None for 0
    :param clock: append the clock, at most :data:`LATEST`
    :return: averages ``(T, B, A, D)``, or ``(T, B, A, D + 1)``, and the state after the last token
    """
    if native.usable(values, "average") and (phase is None or values.is_cpu):
        decay = scores.new_zeros(scores.shape[2]) if decay is None else decay
        averages, clocks, *last = native.apply(_AverageScan, scores, values, decay, *state, starts, phase, clock)
        return (averages if clocks is None else _with_clock(averages, clocks)), AverageState(*last)
    outputs = []
    for begin in range(0, len(scores), BLOCK):
        part = slice(begin, begin + BLOCK)
        part_decay = decay[part] if decay is not None and decay.dim() == 3 else decay
        output, state = _block(scores[part], values[part], part_decay, state, starts[part], phase, clock)
        outputs.append(output)
    return (outputs[0] if len(outputs) == 1 else torch.cat(outputs)), state


def _with_clock(averages: Tensor, clocks: Tensor) -> Tensor:
    return torch.cat([averages, clocks.clamp(max=LATEST).unsqueeze(-1)], -1)


class _AverageScan(torch.autograd.Function):
    """The native scan. With a for the total gradient of w_t, and b for that of u_t, both summed over later outputs:

    dv_t = a exp(s_t - m_t),   ds_t = exp(s_t - m_t) (a v_t + b),   d(log keep_t) = keep_t (a w_{t-1} + b u_{t-1}),

    where keep_t = exp(m_{t-1} - c_t - m_t) also carries a and b to the step before, and a with phases turned back by p.
    A gradient g of the clock adds g / u_t to b and -g to ds_t.
    """

    @staticmethod
    def forward(
        ctx: Any, scores: Tensor, values: Tensor, decay: Tensor,
        maximum: Tensor, denominator: Tensor, numerator: Tensor, starts: Tensor, phase: Tensor | None, clock: bool,
    ) -> Any:  # fmt: skip
        scores, values, starts = scores.contiguous(), values.contiguous(), starts.contiguous()
        first = (denominator.contiguous(), numerator.contiguous())
        last = [leaf.clone(memory_format=torch.contiguous_format) for leaf in (maximum, denominator, numerator)]
        outputs = torch.empty_like(values)
        keeps, takes, denominators = scores.new_empty(3, *scores.shape).unbind()
        written = (*last, outputs, keeps, takes, denominators)
        turns = None if phase is None else torch.stack([phase.cos(), phase.sin()])
        every_step = int(decay.dim() == 3)
        read = (scores, values, decay.contiguous(), turns, starts)
        native.run("average_forward", (*read, *written), *values.shape, every_step)
        ctx.save_for_backward(values, turns, starts, outputs, keeps, takes, denominators, *first)
        ctx.mark_non_differentiable(last[0])
        ctx.every_step = every_step
        return outputs, denominators.log() - takes.log() if clock else None, *last

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any,
        grad_outputs: Tensor,
        grad_clocks: Tensor | None,
        _: Tensor,
        grad_denominator: Tensor,
        grad_numerator: Tensor,
    ) -> Any:
        values = ctx.saved_tensors[0]
        into = [grad.clone(memory_format=torch.contiguous_format) for grad in (grad_denominator, grad_numerator)]
        grad_scores, grad_keeps = values.new_empty(2, *values.shape[:3]).unbind()
        grad_values = torch.empty_like(values)
        turns = ctx.saved_tensors[1]
        grad_phases = None if turns is None else values.new_zeros(*values.shape[1:3], values.shape[3] // 2)
        written = (*into, grad_scores, grad_values, grad_keeps, grad_phases)
        grads = (grad_outputs.contiguous(), None if grad_clocks is None else grad_clocks.contiguous())
        native.run("average_backward", (*ctx.saved_tensors, *grads, *written), *values.shape)
        grad_phase = None if grad_phases is None else grad_phases.sum(0)
        grad_decay = -grad_keeps if ctx.every_step else -grad_keeps.sum((0, 1))
        return grad_scores, grad_values, grad_decay, grad_keeps[0], *into, None, grad_phase, None


def _log_scale(state: AverageState, decay: Tensor | None) -> Tensor:
    """m - c, or minus infinity where nothing has been read, ``(B, A)``."""
    aged = state.maximum if decay is None else state.maximum - decay
    return torch.where(state.denominator > 0, aged, -torch.inf)


def _block(
    scores: Tensor,
    values: Tensor,
    decay: Tensor | None,
    state: AverageState,
    starts: Tensor,
    phase: Tensor | None,
    clock: bool,
) -> tuple[Tensor, AverageState]:
    if not _all_finite(scores, values, decay, state):
        # A masked product still computes 0 * NaN = NaN, so a bad token would leak into other episodes.
        return _loop(scores, values, decay, state, starts, phase, clock)
    # The carried memory is one more token, of score m, with w for its value and u for its weight.
    carried = _log_scale(state, None).unsqueeze(0)
    logits = _logits(torch.cat([carried, scores]), decay, starts)  # (B, A, T, 1 + T)
    maximum = logits.detach().amax(-1, keepdim=True)
    shares = torch.exp(logits - maximum)
    weighted = torch.cat([state.numerator.unsqueeze(0), values])
    if phase is not None:  # turned forward by the time within the block here, and back by it below
        time = torch.arange(len(weighted), device=values.device).view(-1, 1, 1, 1)
        weighted = turn(weighted, -phase * time)
    weighted = weighted.permute(1, 2, 0, 3)  # (B, A, 1 + T, D)
    weights = torch.cat([state.denominator.unsqueeze(0), torch.ones_like(scores)]).permute(1, 2, 0)
    numerator, denominator = shares @ weighted, shares @ weights.unsqueeze(-1)
    if phase is not None:
        numerator = turn(numerator, phase.unsqueeze(1) * time[1:].view(1, -1, 1))
    outputs = (numerator / denominator).permute(2, 0, 1, 3)  # (T, B, A, D)
    if clock:
        outputs = _with_clock(outputs, (denominator.log() + maximum).squeeze(-1).permute(2, 0, 1) - scores)
    return outputs, AverageState(maximum[:, :, -1, 0], denominator[:, :, -1, 0], numerator[:, :, -1])


def _logits(scores: Tensor, decay: Tensor | None, starts: Tensor) -> Tensor:
    """Score of token i as seen from step t, minus infinity where t must not see it: ``(B, A, T, 1 + T)``.

    :param scores: ``(1 + T, B, A)``, the carried memory first
    """
    steps = len(starts)
    episode = torch.cat([starts.new_zeros(1, starts.shape[1]), starts]).cumsum(0).t()  # (B, 1 + T)
    time = torch.arange(steps + 1, device=scores.device)
    age = time[1:, None] - time[None, :]  # (T, 1 + T)
    visible = (episode[:, 1:, None] == episode[:, None, :]) & (age >= 0)  # (B, T, 1 + T)
    logits = scores.permute(1, 2, 0).unsqueeze(2)  # (B, A, 1, 1 + T)
    if decay is not None and decay.dim() == 3:
        total = torch.cat([decay.new_zeros(1, *decay.shape[1:]), decay]).cumsum(0).permute(1, 2, 0)  # (B, A, 1 + T)
        logits = logits + total.unsqueeze(2) - total[:, :, 1:].unsqueeze(3)
    elif decay is not None:
        # Ages are multiplied by the decay, not time stamps: c * t of a long run would cost the score its digits.
        logits = logits - decay.view(-1, 1, 1) * age.clamp(min=0)
    return logits.masked_fill(~visible.unsqueeze(1), -torch.inf)


def _all_finite(scores: Tensor, values: Tensor, decay: Tensor | None, state: AverageState) -> bool:
    read = (scores, values, *state) if decay is None else (scores, values, decay, *state)
    return bool(torch.isfinite(sum((tensor.detach().sum() for tensor in read), scores.new_zeros(()))))


def _loop(
    scores: Tensor,
    values: Tensor,
    decay: Tensor | None,
    state: AverageState,
    starts: Tensor,
    phase: Tensor | None,
    clock: bool,
) -> tuple[Tensor, AverageState]:
    initial = AverageState(*(torch.zeros_like(leaf) for leaf in state))
    decays = decay if decay is not None and decay.dim() == 3 else [decay] * len(scores)
    outputs = []
    for score, value, aging, start in zip(scores, values, decays, starts, strict=True):
        output, state = average_step(score, value, aging, select(start, initial, state), phase, clock)
        outputs.append(output)
    return torch.stack(outputs), state

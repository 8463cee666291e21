"""The running softmax average: attention with one fixed query, as a step and as an exact parallel scan.

Letters: T time, B batch rows, A heads, D head width.

With scores s and values v, the output after token t is the average of v_1 ... v_t with weights proportional to
exp(s_i - c (t - i)), where c >= 0 is the head's decay (c = 0 is plain attention). The average is carried in three
numbers per head, as in "Attention as an RNN" (Feng et al., 2024, arXiv 2405.13956, sections 3.1 and 3.2):

    m  the running maximum of the scores            m_t = max(m_{t-1} - c, s_t)
    u  the sum of the weights relative to m         u_t = u_{t-1} exp(m_{t-1} - c - m_t) + exp(s_t - m_t)
    w  the weighted sum of values relative to m     w_t = w_{t-1} exp(m_{t-1} - c - m_t) + v_t exp(s_t - m_t)

and the output is w_t / u_t. (m + k, u exp(-k), w exp(-k)) is the same memory for every k, so the maximum needs no
gradient and is detached.

Differs from the paper: the empty memory is u = 0 (then m is read as minus infinity), so that a state of zeros is
exactly empty; starting from m = 0, as printed, is wrong for scores far below zero.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from rl_larnn.state import select

#: Steps handled by one dense masked softmax. Time and memory are T * BLOCK; 64 was the fastest of 16 ... 256.
BLOCK = 64


class AverageState(NamedTuple):
    """A running softmax average per head; zeros mean "nothing read yet"."""

    maximum: Tensor  # (B, A)     m
    denominator: Tensor  # (B, A)     u
    numerator: Tensor  # (B, A, D)  w


def average_step(
    score: Tensor, value: Tensor, decay: Tensor | None, state: AverageState
) -> tuple[Tensor, AverageState]:
    """Read one token.

    :param score: ``(B, A)``
    :param value: ``(B, A, D)``
    :param decay: c, ``(A,)``, at least 0; None for 0
    :param state: the average of the tokens so far
    :return: the average with this token in it ``(B, A, D)``, and the state that holds it
    """
    old = _log_scale(state, decay)
    maximum = torch.maximum(old, score).detach()
    # exp(-inf - finite) is 0 with a zero gradient; the maximum is finite because the score is.
    keep, take = torch.exp(old - maximum), torch.exp(score - maximum)
    denominator = state.denominator * keep + take
    numerator = state.numerator * keep.unsqueeze(-1) + value * take.unsqueeze(-1)
    return numerator / denominator.unsqueeze(-1), AverageState(maximum, denominator, numerator)


def average_scan(
    scores: Tensor, values: Tensor, decay: Tensor | None, state: AverageState, starts: Tensor
) -> tuple[Tensor, AverageState]:
    """Read a sequence: equal to :func:`average_step` repeated, in blocks of :data:`BLOCK` steps at a time.

    :param scores: ``(T, B, A)``
    :param values: ``(T, B, A, D)``
    :param decay: c, ``(A,)``, at least 0; None for 0
    :param state: the average carried in
    :param starts: ``(T, B)`` bool; true forgets everything before that token
    :return: averages ``(T, B, A, D)`` and the state after the last token
    """
    outputs = []
    for begin in range(0, len(scores), BLOCK):
        part = slice(begin, begin + BLOCK)
        output, state = _block(scores[part], values[part], decay, state, starts[part])
        outputs.append(output)
    return (outputs[0] if len(outputs) == 1 else torch.cat(outputs)), state


def _log_scale(state: AverageState, decay: Tensor | None) -> Tensor:
    """m - c, or minus infinity where nothing has been read, ``(B, A)``."""
    aged = state.maximum if decay is None else state.maximum - decay
    return torch.where(state.denominator > 0, aged, -torch.inf)


def _block(
    scores: Tensor, values: Tensor, decay: Tensor | None, state: AverageState, starts: Tensor
) -> tuple[Tensor, AverageState]:
    if not _all_finite(scores, values, state):
        # A masked product still computes 0 * NaN = NaN, so a bad token would leak into other episodes.
        return _loop(scores, values, decay, state, starts)
    # The carried memory is one more token, of score m + log u and value w / u (it stands first).
    empty = state.denominator <= 0
    safe = torch.where(empty, 1.0, state.denominator)
    carried_score = torch.where(empty, -torch.inf, state.maximum + torch.log(safe))  # (B, A)
    carried_value = state.numerator / safe.unsqueeze(-1)  # (B, A, D)
    logits = _logits(torch.cat([carried_score.unsqueeze(0), scores]), decay, starts)  # (B, A, T, 1 + T)
    tokens = torch.cat([carried_value.unsqueeze(0), values]).permute(1, 2, 0, 3)  # (B, A, 1 + T, D)
    outputs = (torch.softmax(logits, dim=-1) @ tokens).permute(2, 0, 1, 3)  # (T, B, A, D)
    last = logits[:, :, -1]  # (B, A, 1 + T)
    maximum = last.amax(-1).detach()
    denominator = torch.exp(last - maximum.unsqueeze(-1)).sum(-1)
    return outputs, AverageState(maximum, denominator, outputs[-1] * denominator.unsqueeze(-1))


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
    if decay is not None:
        # Ages, not time stamps, meet the decay: c * t of a long run would eat up the digits of the score.
        logits = logits - decay.view(-1, 1, 1) * age.clamp(min=0)
    return logits.masked_fill(~visible.unsqueeze(1), -torch.inf)


def _all_finite(scores: Tensor, values: Tensor, state: AverageState) -> bool:
    total = scores.detach().sum() + values.detach().sum() + sum(leaf.detach().sum() for leaf in state)
    return bool(torch.isfinite(total))


def _loop(
    scores: Tensor, values: Tensor, decay: Tensor | None, state: AverageState, starts: Tensor
) -> tuple[Tensor, AverageState]:
    initial = AverageState(*(torch.zeros_like(leaf) for leaf in state))
    outputs = []
    for score, value, start in zip(scores, values, starts, strict=True):
        output, state = average_step(score, value, decay, select(start, initial, state))
        outputs.append(output)
    return torch.stack(outputs), state

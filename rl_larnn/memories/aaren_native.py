"""One block of Aaren over a whole sequence in native code (``native/aaren.h``): equal to the torch form, faster.

Letters as in :mod:`rl_larnn.memories.aaren`: T, B, E, A, D. One call forward and one backward: at this size a call of
torch costs more than its arithmetic.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from rl_larnn import native
from rl_larnn.scan import AverageState


class BlockWeights(NamedTuple):
    """The weights of a block."""

    norm: Tensor  # (E,)
    norm_bias: Tensor  # (E,)
    query: Tensor  # (E, E)
    query_bias: Tensor  # (E,)
    key: Tensor  # (E, E)
    key_bias: Tensor  # (E,)
    value: Tensor  # (E, E)
    value_bias: Tensor  # (E,)
    output: Tensor  # (E, E), or (E, E + A) with a clock
    output_bias: Tensor  # (E,)
    forward_norm: Tensor  # (E,)
    forward_norm_bias: Tensor  # (E,)
    wide: Tensor  # (4E, E)
    wide_bias: Tensor  # (4E,)
    narrow: Tensor  # (E, 4E)
    narrow_bias: Tensor  # (E,)
    query_token: Tensor  # (E,)
    aging: Tensor | None  # (A,)
    forget: Tensor | None  # (A, E)
    phase: Tensor | None  # (A, D / 2)
    gate: Tensor | None  # (E, E)
    gate_bias: Tensor | None  # (E,)


def native_block_scan(
    xs: Tensor, state: AverageState, starts: Tensor, weights: BlockWeights
) -> tuple[Tensor, AverageState]:
    """Read a sequence.

    :param xs: ``(T, B, E)``
    :param state: the average carried in
    :param starts: ``(T, B)`` bool
    :return: ``(T, B, E)`` and the state after the last token
    """
    outputs, *last = native.apply(_Scan, xs, starts, *state, *weights)
    return outputs, AverageState(*last)


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        xs: Tensor,
        starts: Tensor,
        maximum: Tensor,
        denominator: Tensor,
        numerator: Tensor,
        *weights: Tensor | None,
    ) -> Any:
        (steps, batch, size), heads = xs.shape, maximum.shape[1]
        xs, starts = xs.contiguous(), starts.contiguous()
        last = [leaf.clone(memory_format=torch.contiguous_format) for leaf in (maximum, denominator, numerator)]
        named = BlockWeights(*weights)  # type: ignore[arg-type]
        clock = int(named.output.shape[1] > size)
        switches = (int(named.forget is not None), clock, int(named.gate is not None))
        tape = xs.new_empty(native.length("aaren_tape", xs.dtype, steps * batch, size, heads, *switches))
        outputs = torch.empty_like(xs)
        native.run("aaren_forward", (xs, *weights, starts, *last, tape, outputs), steps, batch, size, heads, clock)
        ctx.save_for_backward(*weights, starts, tape, denominator, numerator)
        ctx.mark_non_differentiable(last[0])
        ctx.clock = clock
        return outputs, *last

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_outputs: Tensor, _: Tensor, grad_denominator: Tensor, grad_numerator: Tensor) -> Any:
        *weights, starts, tape, denominator, numerator = ctx.saved_tensors
        (steps, batch, size), heads = grad_outputs.shape, denominator.shape[1]
        grad_outputs = grad_outputs.contiguous()
        into = [grad.clone(memory_format=torch.contiguous_format) for grad in (grad_denominator, grad_numerator)]
        lengths = [0 if weight is None else weight.numel() for weight in weights]
        grad_maximum, grads, grad_xs = (
            torch.empty_like(into[0]),
            tape.new_empty(sum(lengths)),
            torch.empty_like(grad_outputs),
        )
        native.run(
            "aaren_backward",
            (
                grad_outputs, *weights, starts, tape, denominator.contiguous(), numerator.contiguous(), *into,
                grad_maximum, grads, grad_xs,
            ),
            steps, batch, size, heads, ctx.clock,
        )  # fmt: skip
        pieces = zip(weights, grads.split(lengths), strict=True)
        return grad_xs, None, grad_maximum, *into, *(None if w is None else grad.view_as(w) for w, grad in pieces)

"""One block of Aaren over a whole sequence as native code (``native/aaren.h``): what the torch form does, faster.

Letters as in :mod:`rl_larnn.memories.aaren`: T, B, E, A, D. The kernels run all that goes from token to token; the
gradients of the weights, which are sums over all tokens, are matrix products here.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from rl_larnn import native
from rl_larnn.scan import AverageState


class BlockWeights(NamedTuple):
    """What a block is made of."""

    norm: Tensor  # (E,)
    norm_bias: Tensor  # (E,)
    query_token: Tensor  # (E,)
    query: Tensor  # (E, E)
    query_bias: Tensor  # (E,)
    key: Tensor  # (E, E)
    key_bias: Tensor  # (E,)
    value: Tensor  # (E, E)
    value_bias: Tensor  # (E,)
    output: Tensor  # (E, E)
    output_bias: Tensor  # (E,)
    forward_norm: Tensor  # (E,)
    forward_norm_bias: Tensor  # (E,)
    wide: Tensor  # (4E, E)
    wide_bias: Tensor  # (4E,)
    narrow: Tensor  # (E, 4E)
    narrow_bias: Tensor  # (E,)
    decay: Tensor  # (A,)


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
        ctx: Any, xs: Tensor, starts: Tensor, maximum: Tensor, denominator: Tensor, numerator: Tensor, *flat: Tensor
    ) -> Any:
        weights = BlockWeights(*(weight.contiguous() for weight in flat))
        (steps, batch, size), heads, new = xs.shape, len(weights.decay), xs.new_empty
        first = (denominator.contiguous(), numerator.contiguous())
        last = [leaf.clone(memory_format=torch.contiguous_format) for leaf in (maximum, denominator, numerator)]
        starts = starts.contiguous()
        read, read_bias, query = new(heads + size, size), new(heads + size), new(size)
        native.run("aaren_fold_forward", (*weights[2:9], read, read_bias, query), size, heads)
        normed_1, values, averages, normed_2, outputs = new(5, steps, batch, size).unbind()
        scores, keeps, takes, denominators = new(4, steps, batch, heads).unbind()
        scale_1, scale_2 = new(2, steps, batch).unbind()
        wide, activated = new(2, steps, batch, 4 * size).unbind()
        written = (
            normed_1, scale_1, scores, values, averages, keeps, takes, denominators,
            normed_2, scale_2, wide, activated, outputs,
        )  # fmt: skip
        parameters = (*weights[:2], read, read_bias, *weights[9:])
        native.run("aaren_forward", (xs.contiguous(), *parameters, starts, *last, *written), steps, batch, size, heads)
        ctx.save_for_backward(
            *weights, read, query, starts, normed_1, scale_1, values, averages, keeps, takes, denominators, normed_2,
            scale_2, wide, *first, activated,
        )  # fmt: skip
        ctx.mark_non_differentiable(last[0])
        return outputs, *last

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_outputs: Tensor, _: Tensor, grad_denominator: Tensor, grad_numerator: Tensor) -> Any:
        count = len(BlockWeights._fields)
        weights, (read, query, *saved, activated) = BlockWeights(*ctx.saved_tensors[:count]), ctx.saved_tensors[count:]
        normed_1, averages, normed_2 = saved[1], saved[4], saved[8]
        (steps, batch, size), heads = normed_1.shape, len(weights.decay)
        new, grad_outputs = grad_outputs.new_empty, grad_outputs.contiguous()
        into = [grad.clone(memory_format=torch.contiguous_format) for grad in (grad_denominator, grad_numerator)]
        grad_keeps, grad_wide = new(steps, batch, heads), new(steps, batch, 4 * size)
        grad_read = new(steps, batch, heads + size)
        grad_middle, grad_xs = new(2, steps, batch, size).unbind()
        native.run(
            "aaren_backward",
            (
                weights.norm, read, weights.output, weights.forward_norm, weights.wide, weights.narrow, *saved,
                grad_outputs, *into, grad_keeps, grad_wide, grad_middle, grad_read, grad_xs,
            ),
            steps, batch, size, heads,
        )  # fmt: skip
        *norm, grad_weight, grad_bias = _behind_norm(grad_read, normed_1, weights.norm, weights.norm_bias, read)
        folded = [torch.zeros_like(query), *map(torch.empty_like, weights[3:7])]
        native.run(
            "aaren_fold_backward",
            (weights.query_token, weights.query, weights.key, weights.key_bias, query, grad_weight, grad_bias, *folded),
            size, heads,
        )  # fmt: skip
        return (
            grad_xs, None, grad_keeps[0], *into,
            *norm, *folded, grad_weight[heads:], grad_bias[heads:],
            *_linear(grad_middle, averages),
            *_behind_norm(grad_wide, normed_2, weights.forward_norm, weights.forward_norm_bias, weights.wide),
            *_linear(grad_outputs, activated),
            -grad_keeps.sum((0, 1)),
        )  # fmt: skip


def _linear(grad: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of weight and bias of a linear layer, from ``(T, B, out)`` and ``(T, B, in)``."""
    grad = grad.flatten(0, 1)
    return grad.t() @ x.flatten(0, 1), grad.sum(0)


def _behind_norm(grad: Tensor, normed: Tensor, scale: Tensor, shift: Tensor, weight: Tensor) -> tuple[Tensor, ...]:
    """Gradients of a norm's weight and bias, then of the linear layer behind it, which reads normed * scale + shift.

    All four follow from two sums over tokens, those of grad x normed and of grad.
    """
    product, total = _linear(grad, normed)
    return (weight * product).sum(0), total @ weight, torch.addr(product * scale, total, shift), total

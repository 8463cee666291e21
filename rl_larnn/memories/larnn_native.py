"""The LARNN recurrence over a whole sequence in native code (``native/larnn.h``): equal to :func:`larnn_scan`, faster.

Letters as in :mod:`rl_larnn.memories.larnn`: T, B, H, W, A. The kernels run the recurrence and its backward pass; the
gradients of the weights, which are sums over all steps, are matrix products here.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from rl_larnn import native
from rl_larnn.memories.larnn_scan import LarnnWeights, outer


def native_larnn_scan(
    from_inputs: Tensor, hidden: Tensor, cells: Tensor, filled: Tensor, starts: Tensor, heads: int,
    kv_activation: bool, bounded: bool, weights: LarnnWeights,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Run the recurrence over a sequence.

    :param from_inputs: ``(T, B, 5H)``, the inputs' share of queries and gates
    :param hidden: ``(B, H)`` at the beginning
    :param cells: ``(B, W, H)`` at the beginning
    :param filled: ``(B, 1)`` cells at the beginning
    :param starts: ``(T, B)`` bool
    :return: hidden states ``(T, B, H)``, and the window ``(B, W, H)`` and the number of cells ``(B, 1)`` at the end
    """
    return native.apply(_Scan, from_inputs, hidden, cells, filled, starts, heads, kv_activation, bounded, *weights)


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, from_inputs: Tensor, hidden: Tensor, cells: Tensor, filled: Tensor, starts: Tensor, heads: int,
        kv_activation: bool, bounded: bool, *flat: Tensor | None,
    ) -> Any:  # fmt: skip
        weights = LarnnWeights(*(None if weight is None else weight.contiguous() for weight in flat))  # type: ignore[arg-type]
        (steps, batch, _), (_, window, size) = from_inputs.shape, cells.shape
        new, slots = from_inputs.new_empty, window + steps
        all_cells, keys, values = new(3, batch, slots, size).unbind()
        all_cells[:, :window] = cells
        keys_by_feature, values_by_feature = new(2, batch, size, slots).unbind()
        activated, kv_statistics = new(batch, slots, 2, size), new(batch, slots, 2, 2)
        before, hiddens, queries, contexts, reads, attended, opened = new(7, steps, batch, size).unbind()
        read_statistics, seen = new(steps, batch, 2), new(steps, batch)
        gates, attention = new(steps, batch, 4 * size), new(steps, batch, heads, window)
        starts, last_cells, last_filled = starts.contiguous(), new(batch, window, size), filled.clone()
        bias = weights.position_bias
        native.run(
            "larnn_forward",
            (
                from_inputs.contiguous(), *weights[:6], new(heads, window).zero_() if bias is None else bias,
                *weights[7:], hidden.contiguous(), last_filled, starts,
                all_cells, keys, values, keys_by_feature, values_by_feature, activated, kv_statistics,
                before, hiddens, queries, contexts, reads, attended, read_statistics, gates, opened,
                attention, seen, last_cells,
            ),
            steps, batch, size, heads, window, kv_activation, bounded,
        )  # fmt: skip
        ctx.kv_activation, ctx.bounded = kv_activation, bounded
        ctx.save_for_backward(
            *weights, starts, all_cells, keys, keys_by_feature, values_by_feature, activated, kv_statistics,
            queries, reads, read_statistics, gates, opened, attention, seen, last_filled, filled,
            before, contexts, attended,
        )  # fmt: skip
        return hiddens, last_cells, last_filled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_hiddens: Tensor, grad_cells_out: Tensor, grad_filled_out: Tensor) -> Any:
        count = len(LarnnWeights._fields)
        weights, rest = LarnnWeights(*ctx.saved_tensors[:count]), ctx.saved_tensors[count:]
        *saved, filled, before, contexts, attended = rest
        cells, attention = saved[1], saved[12]
        (steps, batch, size), (heads, window) = before.shape, attention.shape[2:]
        grad_hidden = torch.zeros_like(before[0])
        grad_cells = before.new_empty(batch, window, size) if ctx.needs_input_grad[2] else None
        grad_mixed, grad_reads = before.new_empty(steps, batch, 5 * size), torch.empty_like(before)
        grad_keys, grad_values = before.new_zeros(2, *cells.shape).unbind()
        grad_kv = before.new_empty(*cells.shape[:2], 2, size)
        grad_read_norm, grad_kv_norm = before.new_zeros(2, batch, 2, size).unbind()
        grad_position = before.new_zeros(batch, heads, window)
        native.run(
            "larnn_backward",
            (
                weights.hidden, weights.attention, weights.output, weights.keys_values, weights.attention_norm,
                weights.kv_norm, *saved, grad_hiddens.contiguous(), grad_cells_out.contiguous(), grad_hidden,
                grad_cells, grad_mixed, grad_reads, grad_keys, grad_values, grad_kv, grad_read_norm, grad_kv_norm,
                grad_position,
            ),
            steps, batch, size, heads, window, ctx.kv_activation, ctx.bounded,
        )  # fmt: skip
        grad_kv = grad_kv.view(-1, 2 * size)
        counted = ~saved[0].any(0).unsqueeze(1) & (filled + steps <= window)  # cells in the count from the beginning
        read_norm, kv_norm = grad_read_norm.sum(0), grad_kv_norm.sum(0)
        return (
            grad_mixed, grad_hidden, grad_cells, grad_filled_out * counted, None, None, None, None,
            outer(grad_mixed, before),
            outer(grad_mixed[:, :, size:], attended),
            outer(grad_reads, contexts),
            grad_reads.sum((0, 1)),
            grad_kv.t() @ cells.view(-1, size),
            grad_kv.sum(0),
            None if weights.position_bias is None else grad_position.sum(0),
            *((None, None) if weights.attention_norm is None else read_norm.unbind()),
            *((None, None) if weights.kv_norm is None else kv_norm.unbind()),
        )  # fmt: skip

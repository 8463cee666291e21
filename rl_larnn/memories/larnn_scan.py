"""The LARNN recurrence over a whole sequence, with the backward pass through time written by hand.

Letters as in :mod:`rl_larnn.memories.larnn`: T, B, H, W, A, D. What the loop form does with some sixty autograd nodes
per step, this does with views into preallocated buffers; everything that does not depend on an earlier step (input
projections, all weight gradients) happens once, for all steps.

Slots are numbered along one axis of W + T: the window carried in takes 0 ... W - 1, and step t appends slot W + t. So
step t attends to slots t ... t + W - 1, a view, of which t + W - 1 is the newest. A start at step t turns the newest
slot into the zero cell; nothing later looks at the cell that stood there, and the mask hides the older ones.

Covers every option but sinusoidal positions (whose keys change with age) and batch normalisation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import elu

EPSILON = 1e-5  # of nn.LayerNorm

NormWeights = tuple[Tensor, Tensor] | tuple[None, None]
Statistics = tuple[Tensor, Tensor] | None


class LarnnWeights(NamedTuple):
    """The weights of a cell that the scan reads; weight and bias of an absent norm are None."""

    hidden: Tensor  # (5H, H): hidden state to query and gates
    attention: Tensor  # (4H, H): attended to gates
    output: Tensor  # (H, H)
    output_bias: Tensor  # (H,)
    keys_values: Tensor  # (2H, H)
    keys_values_bias: Tensor  # (2H,)
    position_bias: Tensor | None  # (A, W)
    attention_norm: Tensor | None  # (H,), and so on
    attention_norm_bias: Tensor | None
    kv_norm: Tensor | None
    kv_norm_bias: Tensor | None


def window_mask(starts: Tensor, filled: Tensor, window: int) -> tuple[Tensor, Tensor]:
    """Which slots each step sees, and how many cells there are after the last step.

    :param starts: ``(T, B)`` bool
    :param filled: ``(B, 1)`` cells at the beginning
    :return: ``(T, B, W)`` bool, newest last, and the cells ``(B, 1)`` at the end, at most W
    """
    steps = torch.arange(len(starts), device=starts.device).unsqueeze(1)
    last_start = torch.where(starts, steps, -1).cummax(0).values
    cells = torch.where(
        last_start < 0, filled.t() + steps, (steps - last_start).to(filled.dtype)
    )  # (T, B), before step
    age = torch.arange(window - 1, -1, -1, device=starts.device)
    return age <= cells.unsqueeze(-1), (cells[-1:].t() + 1).clamp(max=window)


def larnn_scan(
    from_inputs: Tensor, hidden: Tensor, cells: Tensor, visible: Tensor, starts: Tensor, heads: int,
    kv_activation: bool, bounded: bool, weights: LarnnWeights,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Run the recurrence over a sequence.

    :param from_inputs: ``(T, B, 5H)``, the inputs' share of queries and gates
    :param hidden: ``(B, H)`` at the beginning
    :param cells: ``(B, W, H)`` at the beginning
    :param visible: ``(T, B, W)`` from :func:`window_mask`
    :param starts: ``(T, B)`` bool
    :return: hidden states ``(T, B, H)`` and the last cells, W + T of them ``(W + T, B, H)``, as slots
    """
    return _LarnnScan.apply(from_inputs, hidden, cells, visible, starts, heads, kv_activation, bounded, *weights)


class _LarnnScan(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, from_inputs: Tensor, hidden: Tensor, cells: Tensor, visible: Tensor, starts: Tensor, heads: int,
        kv_activation: bool, bounded: bool, *flat: Tensor,
    ) -> Any:  # fmt: skip
        weights = LarnnWeights(*flat)
        (steps, batch, _), (_, window, size) = from_inputs.shape, cells.shape
        width, rows = size // heads, batch * heads
        scale = 1 / math.sqrt(width)
        any_start = starts.any(1).tolist()
        bias = torch.zeros_like(visible, dtype=hidden.dtype).masked_fill_(~visible, -torch.inf).unsqueeze(2)
        bias = bias + weights.position_bias if weights.position_bias is not None else bias.expand(-1, -1, heads, -1)
        bias = bias.reshape(steps, rows, window, 1)

        slots = from_inputs.new_empty(window + steps, batch, size)
        slots[:window] = cells.transpose(0, 1)
        keys, values = from_inputs.new_empty(2, rows, window + steps, width)
        keys_by_slot, values_by_slot = (k.view(batch, heads, -1, width).permute(2, 0, 1, 3) for k in (keys, values))

        def project(cell: Tensor) -> tuple[Tensor, tuple[Tensor, Statistics]]:
            """Keys and values of cells ``(..., B, H)`` as ``(..., B, 2, H)``, and what backward needs."""
            projected = torch.nn.functional.linear(cell, weights.keys_values, weights.keys_values_bias)
            projected = projected.unflatten(-1, (2, size))
            if not kv_activation:
                return projected, (projected, None)
            projected = elu(projected)
            normed, statistics = _norm(projected, weights.kv_norm, weights.kv_norm_bias)
            return normed, (projected, statistics)

        def store(slot: Any, projected: Tensor) -> None:
            keys_by_slot[slot] = projected.select(-2, 0).unflatten(-1, (heads, width))
            values_by_slot[slot] = projected.select(-2, 1).unflatten(-1, (heads, width))

        if any_start[0]:
            slots[window - 1].masked_fill_(starts[0].unsqueeze(1), 0.0)
        carried, carried_saved = project(slots[:window])
        store(slice(0, window), carried)
        zero_cell, zero_saved = project(slots.new_zeros(batch, size))
        zero_cell = zero_cell.view(batch, 2, heads, width)

        hiddens = from_inputs.new_empty(steps, batch, size)
        before = from_inputs.new_empty(steps, batch, size)
        gates = from_inputs.new_empty(steps, batch, 4 * size)
        queries, contexts, attended, opened = (from_inputs.new_empty(steps, batch, size) for _ in range(4))
        open_cell = torch.tanh if bounded else torch.ops.aten.elu.out
        saved: list[tuple[Any, ...]] = []  # per step, what backward reads
        recurrent, to_gates, to_output = weights.hidden.t(), weights.attention.t(), weights.output.t()
        for t in range(steps):
            if any_start[t]:
                forget = starts[t].unsqueeze(1)
                hidden = hidden.masked_fill(forget, 0.0)
                if t:
                    newest = window + t - 1
                    slots[newest].masked_fill_(forget, 0.0)
                    for stored, fresh in ((keys_by_slot, zero_cell[:, 0]), (values_by_slot, zero_cell[:, 1])):
                        stored[newest] = torch.where(forget.unsqueeze(2), fresh, stored[newest])
                    saved[-1] = (*saved[-1][:-1], _choose(forget, zero_saved, saved[-1][-1]))
            before[t] = hidden
            mixed = torch.addmm(from_inputs[t], hidden, recurrent)
            query = torch.ops.aten.elu.out(mixed[:, :size], out=queries[t]).view(rows, width, 1)
            scores = torch.baddbmm(bias[t], keys[:, t : t + window], query, alpha=scale)
            attention = torch.softmax(scores, dim=1)
            context = torch.bmm(attention.transpose(1, 2), values[:, t : t + window]).view(batch, size)
            contexts[t] = context
            read = elu(torch.addmm(weights.output_bias, context, to_output))
            normed, read_statistics = _norm(read, weights.attention_norm, weights.attention_norm_bias)
            attended[t] = normed
            gate = torch.addmm(mixed[:, size:], normed, to_gates, out=gates[t])
            gate[:, :size].tanh_()
            gate[:, size:].sigmoid_()
            candidate, keep, take, show = gate.split(size, dim=1)
            cell = torch.add(candidate * take, slots[window + t - 1] * keep, out=slots[window + t])
            hidden = torch.mul(show, open_cell(cell, out=opened[t]), out=hiddens[t])
            projected, kv_saved = project(cell)
            store(window + t, projected)
            saved.append((attention, read, read_statistics, kv_saved))
        ctx.save_for_backward(*flat)
        ctx.buffers = (slots, keys, values, before, gates, queries, contexts, attended, opened)
        ctx.saved, ctx.carried_saved = saved, carried_saved
        ctx.starts, ctx.any_start, ctx.heads = starts, any_start, heads
        ctx.kv_activation, ctx.bounded = kv_activation, bounded
        # Backward reads the buffer: return a copy, which the caller may change.
        return hiddens, slots.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_hiddens: Tensor, grad_slots: Tensor) -> Any:
        weights = LarnnWeights(*ctx.saved_tensors)
        slots, keys, values, before, gates, queries, contexts, attended, opened = ctx.buffers
        starts, any_start, heads = ctx.starts, ctx.any_start, ctx.heads
        steps, batch, size = before.shape
        window, width, rows = len(slots) - steps, size // heads, batch * heads
        scale = 1 / math.sqrt(width)
        grad_keys, grad_values = torch.zeros_like(keys), torch.zeros_like(values)
        keys_by_slot, values_by_slot = (
            k.view(batch, heads, -1, width).permute(2, 0, 1, 3) for k in (grad_keys, grad_values)
        )
        grad_mixed = before.new_empty(steps, batch, 5 * size)
        grad_reads, grad_attended = torch.empty_like(before), torch.empty_like(before)
        grad_scores = before.new_empty(steps, rows, window, 1)
        grad_kv_normed = before.new_empty(window + steps, batch, 2, size)
        grad_kv = torch.empty_like(grad_kv_normed)
        candidate, keep, take, show = gates.split(size, dim=2)
        query_slope = _elu_slope(queries)
        # d(gate)/d(pre-activation), times what the cell equation multiplies the gate by, where that is known already.
        slopes = torch.cat(
            [
                (1 - candidate * candidate) * take,
                keep * (1 - keep) * slots[window - 1 : -1],
                take * (1 - take) * candidate,
            ],
            dim=2,
        )
        show_slope = opened * show * (1 - show)
        cell_from_hidden = show * (1 - opened * opened if ctx.bounded else _elu_slope(opened))

        def into_cell(slot: Any, kv_saved: tuple[Tensor, Statistics]) -> Tensor:
            """Gradient of cells ``(..., B, H)`` through their keys and values."""
            grad = grad_kv_normed[slot]
            grad.select(-2, 0).unflatten(-1, (heads, width)).copy_(keys_by_slot[slot])
            grad.select(-2, 1).unflatten(-1, (heads, width)).copy_(values_by_slot[slot])
            if ctx.kv_activation:
                activated, statistics = kv_saved
                grad = _norm_backward(grad, activated, statistics, weights.kv_norm) * _elu_slope(activated)
            grad_kv[slot] = grad
            return grad.flatten(-2) @ weights.keys_values

        grad_hidden, grad_cell_next = torch.zeros_like(before[0]), torch.zeros_like(before[0])
        for t in range(steps - 1, -1, -1):
            attention, read, read_statistics, kv_saved = ctx.saved[t]
            grad_output = grad_hidden + grad_hiddens[t]
            grad_cell = grad_cell_next + into_cell(window + t, kv_saved)
            if t + 1 < steps and any_start[t + 1]:
                # From the next step on, the row's slot is the zero cell: no gradient comes back to this cell.
                grad_cell = grad_cell.masked_fill_(starts[t + 1].unsqueeze(1), 0.0)
            grad_cell += grad_slots[window + t]
            grad_cell.addcmul_(grad_output, cell_from_hidden[t])
            grad_gates = grad_mixed[t, :, size:]
            torch.mul(
                slopes[t].view(batch, 3, size), grad_cell.unsqueeze(1),
                out=grad_gates[:, : 3 * size].unflatten(1, (3, size)),
            )  # fmt: skip
            torch.mul(grad_output, show_slope[t], out=grad_gates[:, 3 * size :])
            grad_cell_next = grad_cell * keep[t]
            grad_normed = torch.mm(grad_gates, weights.attention, out=grad_attended[t])
            grad_read = _norm_backward(grad_normed, read, read_statistics, weights.attention_norm)
            grad_read = torch.mul(grad_read, _elu_slope(read), out=grad_reads[t])
            grad_context = (grad_read @ weights.output).view(rows, 1, width)
            seen = slice(t, t + window)
            grad_values[:, seen].baddbmm_(attention, grad_context)
            grad_attention = torch.bmm(values[:, seen], grad_context.transpose(1, 2))
            grad_score = torch._softmax_backward_data(grad_attention, attention, 1, attention.dtype)
            grad_scores[t] = grad_score
            query = queries[t].view(rows, 1, width)
            grad_keys[:, seen].baddbmm_(grad_score, query, alpha=scale)
            grad_query = torch.bmm(grad_score.transpose(1, 2), keys[:, seen]).view(batch, size)
            torch.mul(grad_query, query_slope[t], out=grad_mixed[t, :, :size]).mul_(scale)
            grad_hidden = grad_mixed[t] @ weights.hidden
            if any_start[t]:
                forget = starts[t].unsqueeze(1)
                grad_hidden.masked_fill_(forget, 0.0)
                grad_cell_next.masked_fill_(forget, 0.0)
        grad_carried = into_cell(slice(0, window), ctx.carried_saved)
        grad_carried[-1] += grad_cell_next
        if any_start[0]:
            grad_carried[-1].masked_fill_(starts[0].unsqueeze(1), 0.0)
        grad_carried = (grad_carried + grad_slots[:window]).transpose(0, 1)
        column = list(zip(*ctx.saved, strict=True))
        carried_activated, carried_statistics = ctx.carried_saved
        kv_activated = [*carried_activated, *(pair[0] for pair in column[3])]
        kv_statistics = [*zip(*(carried_statistics or ()), strict=True), *(pair[1] for pair in column[3])]
        return (
            grad_mixed, grad_hidden, grad_carried, None, None, None, None, None,
            outer(grad_mixed, before),
            outer(grad_mixed[:, :, size:], attended),
            outer(grad_reads, contexts),
            grad_reads.sum((0, 1)),
            outer(grad_kv.flatten(2), slots),
            grad_kv.sum((0, 1)).flatten(),
            grad_scores.view(steps * batch, heads, window).sum(0) if ctx.needs_input_grad[14] else None,
            *_norm_weight_grads(grad_attended, column[1], column[2], weights.attention_norm),
            *_norm_weight_grads(grad_kv_normed, kv_activated, kv_statistics, weights.kv_norm),
        )  # fmt: skip


def _choose(
    forget: Tensor, zero: tuple[Tensor, Statistics], saved: tuple[Tensor, Statistics]
) -> tuple[Tensor, Statistics]:
    """What backward reads of keys and values: in the rows ``forget`` ``(B, 1)`` that of the zero cell."""
    where = forget.unsqueeze(2)
    activated = torch.where(where, zero[0], saved[0])
    if zero[1] is None or saved[1] is None:
        return activated, None
    return activated, (torch.where(where, zero[1][0], saved[1][0]), torch.where(where, zero[1][1], saved[1][1]))


def _norm(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> tuple[Tensor, Statistics]:
    if weight is None:
        return x, None
    y, mean, scale = torch.native_layer_norm(x, weight.shape, weight, bias, EPSILON)
    return y, (mean, scale)


def _norm_backward(grad: Tensor, x: Tensor, statistics: Statistics, weight: Tensor | None) -> Tensor:
    if weight is None or statistics is None:
        return grad
    arguments = (weight.shape, *statistics, weight, weight, [True, False, False])
    return torch.ops.aten.native_layer_norm_backward(grad, x, *arguments)[0]


def _norm_weight_grads(
    grad: Tensor, inputs: Sequence[Tensor], statistics: Sequence[Any], weight: Tensor | None
) -> tuple[Tensor, Tensor] | tuple[None, None]:
    """Gradients of a norm's weight and bias, over all steps at once."""
    if weight is None:
        return None, None
    mean, scale = (torch.stack([pair[index] for pair in statistics]) for index in (0, 1))
    normed = (torch.stack(list(inputs)) - mean) * scale
    axes = tuple(range(grad.dim() - 1))
    return (grad * normed).sum(axes), grad.sum(axes)


def _elu_slope(activated: Tensor) -> Tensor:
    """Derivative of ELU, from its result: 1 above zero, e^x = result + 1 below."""
    return activated.clamp(max=0.0) + 1.0


def outer(grad: Tensor, x: Tensor) -> Tensor:
    """Gradient of a weight from ``(T, B, out)`` and ``(T, B, in)``: summed over steps and rows."""
    return grad.flatten(0, 1).t() @ x.flatten(0, 1)

"""Gated recurrent unit: Cho et al. (2014), in the form of ``torch.nn.GRU``.

Letters: T time, B batch rows, I input, H hidden. Rows of each 3H block, in order: r (reset), z (keep), n (candidate).

    (r, z) = sigmoid(W x_t + U h_{t-1} + b),   n = tanh(W_n x_t + b_n + r (U_n h_{t-1} + b_h))
    h_t = (1 - z) n + z h_{t-1},   y_t = h_t

Differs from ``torch.nn.GRU`` in having a hidden bias for the candidate only (the other two would double an input bias).
The scan walks time with a backward pass written by hand, because ``torch.nn.GRU`` knows no starts inside a sequence:
natively on the CPU (``native/gru.h``), else in torch.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from rl_larnn import native
from rl_larnn.memories.horizon import set_horizon
from rl_larnn.memories.stack import Stack, layer_sizes
from rl_larnn.memory import Memory


class GruState(NamedTuple):
    hidden: Tensor  # (B, H)


class GruLayer(Memory):
    """One layer of :class:`Gru`."""

    def __init__(self, input_size: int, hidden_size: int, horizon: int | None = None) -> None:
        super().__init__(input_size, hidden_size)
        self.input_to_gates = nn.Linear(self.input_size, 3 * self.output_size)
        self.hidden_to_gates = nn.Linear(self.output_size, 3 * self.output_size, bias=False)
        self.candidate_bias = nn.Parameter(torch.empty(self.output_size))
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -1 / math.sqrt(hidden_size), 1 / math.sqrt(hidden_size))
        if horizon is not None:
            _, keep, _ = self.input_to_gates.bias.split(self.output_size)
            set_horizon(horizon, keep)

    def initial_state(self, batch_size: int) -> GruState:
        return GruState(self.zeros(batch_size, self.output_size))

    def step(self, x: Tensor, state: GruState) -> tuple[Tensor, GruState]:
        from_input = self.input_to_gates(x).split([2 * self.output_size, self.output_size], dim=1)
        from_hidden = self.hidden_to_gates(state.hidden).split([2 * self.output_size, self.output_size], dim=1)
        reset, keep = torch.sigmoid(from_input[0] + from_hidden[0]).chunk(2, dim=1)
        candidate = torch.tanh(from_input[1] + reset * (from_hidden[1] + self.candidate_bias))
        hidden = candidate + keep * (state.hidden - candidate)
        return hidden, GruState(hidden)

    def scan(self, xs: Tensor, state: GruState, starts: Tensor) -> tuple[Tensor, GruState]:
        weight, bias = self.hidden_to_gates.weight, self.candidate_bias
        hiddens = native.apply(_GruScan, self.input_to_gates(xs), weight, bias, state.hidden, starts)
        return hiddens, GruState(hiddens[-1])


class _GruScan(torch.autograd.Function):
    """The recurrence of one layer over time, given the gates' inputs ``(T, B, 3H)``."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor, hidden: Tensor, starts: Tensor) -> Tensor:
        steps, batch, width = inputs.shape[0], inputs.shape[1], weight.shape[1]
        gates = inputs.clone(memory_format=torch.contiguous_format)  # turned into activations in place
        before, candidates, hiddens = inputs.new_empty(3, steps, batch, width).unbind()
        read = (weight.contiguous(), bias.contiguous(), hidden.contiguous(), starts.contiguous())
        if native.usable(inputs, "gru"):
            native.run("gru_forward", (gates, *read, before, candidates, hiddens), steps, batch, width)
        else:
            _forward(gates, *read, before, candidates, hiddens)
        ctx.save_for_backward(gates, candidates, read[0], read[3], before)
        return hiddens

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_hiddens: Tensor) -> Any:
        saved = ctx.saved_tensors
        gates, before = saved[0], saved[4]
        width, grad_hiddens = before.shape[2], grad_hiddens.contiguous()
        grad_gates, grad_inputs = torch.empty_like(gates), torch.empty_like(gates)  # of U h + b and of W x + b
        grad_hidden = torch.zeros_like(before[0])
        if native.usable(gates, "gru"):
            native.run("gru_backward", (*saved, grad_hiddens, grad_gates, grad_inputs, grad_hidden), *before.shape)
        else:
            _backward(saved, grad_hiddens, grad_gates, grad_inputs, grad_hidden)
        grad_weight = grad_gates.flatten(0, 1).t() @ before.flatten(0, 1)
        return grad_inputs, grad_weight, grad_gates[:, :, 2 * width :].sum((0, 1)), grad_hidden, None


def _forward(
    gates: Tensor, weight: Tensor, bias: Tensor, hidden: Tensor, starts: Tensor,
    before: Tensor, candidates: Tensor, hiddens: Tensor,
) -> None:  # fmt: skip
    """The kernel ``gru_forward`` in torch: fills the last three and ``gates``."""
    width, recurrent, any_start = weight.shape[1], weight.t(), starts.any(1).tolist()
    hidden_bias = torch.cat([bias.new_zeros(2 * width), bias])
    for t in range(len(gates)):
        if any_start[t]:
            hidden = hidden.masked_fill(starts[t].unsqueeze(1), 0.0)
        before[t] = hidden
        from_hidden = torch.addmm(hidden_bias, hidden, recurrent)
        gate = gates[t]
        sigmoid = gate[:, : 2 * width].add_(from_hidden[:, : 2 * width]).sigmoid_()
        candidates[t] = from_hidden[:, 2 * width :]  # U_n h + b_h, kept for the gradient of r
        candidate = gate[:, 2 * width :].addcmul_(sigmoid[:, :width], candidates[t]).tanh_()
        hidden = torch.lerp(candidate, hidden, sigmoid[:, width:], out=hiddens[t])


def _backward(
    saved: tuple[Tensor, ...], grad_hiddens: Tensor, grad_gates: Tensor, grad_inputs: Tensor, grad_hidden: Tensor
) -> None:
    """The kernel ``gru_backward`` in torch: fills the last three."""
    gates, candidates, weight, starts, before = saved
    width, any_start = weight.shape[1], starts.any(1).tolist()
    # Factors that do not depend on later steps, for all of them at once: d h_t / d(U h + b), per gate.
    reset, keep, candidate = gates.split(width, dim=2)
    into_reset, into_keep, into_candidate = grad_gates.split(width, dim=2)
    slope = (1 - keep) * (1 - candidate * candidate)
    into_reset.copy_(slope * candidates * reset * (1 - reset))
    into_keep.copy_((before - candidate) * keep * (1 - keep))
    into_candidate.copy_(slope * reset)
    for t in range(len(gates) - 1, -1, -1):
        grad_hidden += grad_hiddens[t]
        grad_gates[t].view(-1, 3, width).mul_(grad_hidden.unsqueeze(1))
        slope[t] *= grad_hidden
        grad_hidden.mul_(keep[t]).addmm_(grad_gates[t], weight)
        if any_start[t]:
            grad_hidden.masked_fill_(starts[t].unsqueeze(1), 0.0)
    grad_inputs.copy_(grad_gates)
    grad_inputs[:, :, 2 * width :] = slope


class Gru(Stack):
    """GRU of ``layers`` layers.

    :param input_size: I
    :param hidden_size: H, also the width of the output
    :param layers: depth
    :param horizon: steps that the task needs to remember: keep gates (z) start with half-lives from 2 steps to as many
        (:mod:`rl_larnn.memories.horizon`); None: with a half-life of about 1 step
    """

    def __init__(self, input_size: int, hidden_size: int = 64, layers: int = 1, horizon: int | None = None) -> None:
        super().__init__([GruLayer(*sizes, horizon) for sizes in layer_sizes(input_size, hidden_size, layers)])

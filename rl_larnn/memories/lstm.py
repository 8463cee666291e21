"""Long short-term memory: Hochreiter and Schmidhuber (1997), with forget gates (Gers et al., 2000).

Letters: T time, B batch rows, I input, H hidden. Rows of each 4H block, in order: i, f, o (gates), g (candidate).

    (i, f, o) = sigmoid(...), g = tanh(...)   of   W x_t + U h_{t-1} + b
    c_t = f c_{t-1} + i g,   h_t = o tanh(c_t),   y_t = h_t

Differs from ``torch.nn.LSTM`` in the order of the rows, in having one bias and in starting with the forget bias at 1
(Jozefowicz et al., 2015) unless a horizon is given. The scan walks time with a backward pass written by hand, because
``torch.nn.LSTM`` knows no starts inside a sequence: natively on the CPU (``native/lstm.h``), else in torch.
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


class LstmState(NamedTuple):
    hidden: Tensor  # (B, H)
    cell: Tensor  # (B, H)


class LstmLayer(Memory):
    """One layer of :class:`Lstm`."""

    def __init__(self, input_size: int, hidden_size: int, horizon: int | None = None) -> None:
        super().__init__(input_size, hidden_size)
        self.input_to_gates = nn.Linear(self.input_size, 4 * self.output_size)
        self.hidden_to_gates = nn.Linear(self.output_size, 4 * self.output_size, bias=False)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -1 / math.sqrt(hidden_size), 1 / math.sqrt(hidden_size))
        take, keep, *_ = self.input_to_gates.bias.split(self.output_size)
        if horizon is None:
            nn.init.ones_(keep)
        else:
            set_horizon(horizon, keep, take)

    def initial_state(self, batch_size: int) -> LstmState:
        return LstmState(self.zeros(batch_size, self.output_size), self.zeros(batch_size, self.output_size))

    def step(self, x: Tensor, state: LstmState) -> tuple[Tensor, LstmState]:
        gates = self.input_to_gates(x) + self.hidden_to_gates(state.hidden)
        sigmoid, candidate = gates.split([3 * self.output_size, self.output_size], dim=1)
        take, keep, show = torch.sigmoid(sigmoid).chunk(3, dim=1)
        cell = keep * state.cell + take * torch.tanh(candidate)
        hidden = show * torch.tanh(cell)
        return hidden, LstmState(hidden, cell)

    def scan(self, xs: Tensor, state: LstmState, starts: Tensor) -> tuple[Tensor, LstmState]:
        hiddens, cell = native.apply(_LstmScan, self.input_to_gates(xs), self.hidden_to_gates.weight, *state, starts)
        return hiddens, LstmState(hiddens[-1], cell)


class _LstmScan(torch.autograd.Function):
    """The recurrence of one layer over time, given the gates' inputs ``(T, B, 4H)``."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, hidden: Tensor, cell: Tensor, starts: Tensor) -> Any:
        steps, batch, width = inputs.shape[0], inputs.shape[1], weight.shape[1]
        gates = inputs.clone(memory_format=torch.contiguous_format)  # turned into activations in place
        before_hidden, before_cell, hiddens, tanh_cells = inputs.new_empty(4, steps, batch, width).unbind()
        cell = cell.clone(memory_format=torch.contiguous_format)  # turned into the last cell in place
        written = (before_hidden, before_cell, hiddens, tanh_cells)
        if native.usable(inputs, "lstm"):
            read = (weight.contiguous(), hidden.contiguous(), cell, starts.contiguous())
            native.run("lstm_forward", (gates, *read, *written), steps, batch, width)
        else:
            _forward(gates, weight, hidden, cell, starts, *written)
        ctx.save_for_backward(gates, before_hidden, before_cell, tanh_cells, weight, starts)
        return hiddens, cell

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_hiddens: Tensor, grad_cell: Tensor) -> Any:
        gates, before_hidden, before_cell, tanh_cells, weight, starts = ctx.saved_tensors
        grad_gates, grad_cell = torch.empty_like(gates), grad_cell.clone(memory_format=torch.contiguous_format)
        grad_hidden = torch.zeros_like(grad_cell)
        if native.usable(gates, "lstm"):
            read = (gates, weight.contiguous(), starts.contiguous(), before_cell, tanh_cells, grad_hiddens.contiguous())
            native.run("lstm_backward", (*read, grad_gates, grad_hidden, grad_cell), *tanh_cells.shape)
        else:
            _backward(gates, weight, starts, before_cell, tanh_cells, grad_hiddens, grad_gates, grad_hidden, grad_cell)
        grad_weight = grad_gates.flatten(0, 1).t() @ before_hidden.flatten(0, 1)
        return grad_gates, grad_weight, grad_hidden, grad_cell, None


def _forward(
    gates: Tensor, weight: Tensor, hidden: Tensor, cell: Tensor, starts: Tensor,
    before_hidden: Tensor, before_cell: Tensor, hiddens: Tensor, tanh_cells: Tensor,
) -> None:  # fmt: skip
    """The kernel ``lstm_forward`` in torch: fills the last four, ``gates`` and ``cell``."""
    width, recurrent, any_start = weight.shape[1], weight.t(), starts.any(1).tolist()
    for t in range(len(gates)):
        before_hidden[t], before_cell[t] = hidden, cell
        if any_start[t]:
            forget = starts[t].unsqueeze(1)
            before_hidden[t].masked_fill_(forget, 0.0)
            before_cell[t].masked_fill_(forget, 0.0)
        gate = gates[t].addmm_(before_hidden[t], recurrent)
        gate[:, : 3 * width].sigmoid_()
        gate[:, 3 * width :].tanh_()
        take, keep, show, candidate = gate.split(width, dim=1)
        torch.addcmul(keep * before_cell[t], take, candidate, out=cell)
        hidden = torch.mul(show, torch.tanh(cell, out=tanh_cells[t]), out=hiddens[t])


def _backward(
    gates: Tensor, weight: Tensor, starts: Tensor, before_cell: Tensor, tanh_cells: Tensor, grad_hiddens: Tensor,
    grad_gates: Tensor, grad_hidden: Tensor, grad_cell: Tensor,
) -> None:  # fmt: skip
    """The kernel ``lstm_backward`` in torch: fills ``grad_gates`` and changes the last two."""
    width, any_start = weight.shape[1], starts.any(1).tolist()
    # Everything that does not depend on later steps is computed for all of them at once.
    take, keep, show, candidate = gates.split(width, dim=2)
    cell_from_hidden = show * (1 - tanh_cells * tanh_cells)
    into_take, into_keep, into_show, into_candidate = grad_gates.split(width, dim=2)
    into_take.copy_(candidate * take * (1 - take))
    into_keep.copy_(before_cell * keep * (1 - keep))
    into_show.copy_(tanh_cells * show * (1 - show))
    into_candidate.copy_(take * (1 - candidate * candidate))
    for t in range(len(gates) - 1, -1, -1):
        grad_hidden += grad_hiddens[t]
        grad_cell.addcmul_(grad_hidden, cell_from_hidden[t])
        grad_gates[t, :, : 2 * width].view(-1, 2, width).mul_(grad_cell.unsqueeze(1))
        into_show[t] *= grad_hidden
        into_candidate[t] *= grad_cell
        torch.mm(grad_gates[t], weight, out=grad_hidden)
        grad_cell *= keep[t]
        if any_start[t]:
            forget = starts[t].unsqueeze(1)
            grad_hidden.masked_fill_(forget, 0.0)
            grad_cell.masked_fill_(forget, 0.0)


class Lstm(Stack):
    """LSTM of ``layers`` layers.

    :param input_size: I
    :param hidden_size: H, also the width of the output
    :param layers: depth
    :param horizon: steps that the task needs to remember: forget and input gates start with half-lives from 2 steps to
        as many (:mod:`rl_larnn.memories.horizon`); None: with forget bias 1
    """

    def __init__(self, input_size: int, hidden_size: int = 64, layers: int = 1, horizon: int | None = None) -> None:
        super().__init__([LstmLayer(*sizes, horizon) for sizes in layer_sizes(input_size, hidden_size, layers)])

"""Long short-term memory: Hochreiter and Schmidhuber (1997), with forget gates (Gers et al., 2000).

Letters: T time, B batch rows, I input, H hidden. Rows of each 4H block, in order: i, f, o (gates), g (candidate).

    (i, f, o) = sigmoid(...), g = tanh(...)   of   W x_t + U h_{t-1} + b
    c_t = f c_{t-1} + i g,   h_t = o tanh(c_t),   y_t = h_t

Differs from ``torch.nn.LSTM`` in the order of the rows, in having one bias and in starting with the forget bias at 1
(Jozefowicz et al., 2015). The scan walks time with a backward pass written by hand, because ``torch.nn.LSTM`` knows no
starts inside a sequence and cutting it at each of them costs more than it saves.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from rl_larnn.memories.stack import Stack, layer_sizes
from rl_larnn.memory import Memory


class LstmState(NamedTuple):
    hidden: Tensor  # (B, H)
    cell: Tensor  # (B, H)


class LstmLayer(Memory):
    """One layer of :class:`Lstm`."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.input_to_gates = nn.Linear(self.input_size, 4 * self.output_size)
        self.hidden_to_gates = nn.Linear(self.output_size, 4 * self.output_size, bias=False)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -1 / math.sqrt(hidden_size), 1 / math.sqrt(hidden_size))
        nn.init.ones_(self.input_to_gates.bias[self.output_size : 2 * self.output_size])

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
        hiddens, cell = _LstmScan.apply(self.input_to_gates(xs), self.hidden_to_gates.weight, *state, starts)
        return hiddens, LstmState(hiddens[-1], cell)


class _LstmScan(torch.autograd.Function):
    """The recurrence of one layer over time, given the gates' inputs ``(T, B, 4H)``."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, hidden: Tensor, cell: Tensor, starts: Tensor) -> Any:
        steps, batch, width = inputs.shape[0], inputs.shape[1], weight.shape[1]
        gates = inputs.clone()  # pre-activations, turned into activations in place: (T, B, 4H)
        before_hidden, before_cell = inputs.new_empty(steps, batch, width), inputs.new_empty(steps, batch, width)
        hiddens, tanh_cells = inputs.new_empty(steps, batch, width), inputs.new_empty(steps, batch, width)
        recurrent = weight.t()
        any_start = starts.any(1).tolist()
        for t in range(steps):
            if any_start[t]:
                forget = starts[t].unsqueeze(1)
                hidden, cell = hidden.masked_fill(forget, 0.0), cell.masked_fill(forget, 0.0)
            before_hidden[t], before_cell[t] = hidden, cell
            gate = gates[t].addmm_(hidden, recurrent)
            gate[:, : 3 * width].sigmoid_()
            gate[:, 3 * width :].tanh_()
            take, keep, show, candidate = gate.split(width, dim=1)
            cell = torch.addcmul(keep * cell, take, candidate)
            hidden = torch.mul(show, torch.tanh(cell, out=tanh_cells[t]), out=hiddens[t])
        ctx.save_for_backward(gates, before_hidden, before_cell, tanh_cells, weight, starts)
        ctx.any_start = any_start
        return hiddens, cell

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_hiddens: Tensor, grad_cell: Tensor) -> Any:
        gates, before_hidden, before_cell, tanh_cells, weight, starts = ctx.saved_tensors
        steps, _, width = tanh_cells.shape
        # Everything that does not depend on later steps is computed for all of them at once.
        take, keep, show, candidate = gates.split(width, dim=2)
        cell_from_hidden = show * (1 - tanh_cells * tanh_cells)
        local = torch.cat(  # d(c or h) / d(pre-activation), per gate
            [
                candidate * take * (1 - take),
                before_cell * keep * (1 - keep),
                tanh_cells * show * (1 - show),
                take * (1 - candidate * candidate),
            ],
            dim=2,
        )
        grad_hidden = torch.zeros_like(grad_cell)
        for t in range(steps - 1, -1, -1):
            grad_hidden = grad_hiddens[t] + grad_hidden
            grad_cell = torch.addcmul(grad_cell, grad_hidden, cell_from_hidden[t])
            grad_gate = local[t]  # becomes the gradient of the pre-activations
            grad_gate[:, : 2 * width].view(-1, 2, width).mul_(grad_cell.unsqueeze(1))
            grad_gate[:, 2 * width : 3 * width].mul_(grad_hidden)
            grad_gate[:, 3 * width :].mul_(grad_cell)
            grad_hidden = grad_gate @ weight
            grad_cell = grad_cell * keep[t]
            if ctx.any_start[t]:
                forget = starts[t].unsqueeze(1)
                grad_hidden, grad_cell = grad_hidden.masked_fill(forget, 0.0), grad_cell.masked_fill(forget, 0.0)
        grad_weight = local.flatten(0, 1).t() @ before_hidden.flatten(0, 1)
        return local, grad_weight, grad_hidden, grad_cell, None


class Lstm(Stack):
    """LSTM of ``layers`` layers.

    :param input_size: I
    :param hidden_size: H, also the width of the output
    :param layers: depth
    """

    def __init__(self, input_size: int, hidden_size: int = 64, layers: int = 1) -> None:
        super().__init__([LstmLayer(*sizes) for sizes in layer_sizes(input_size, hidden_size, layers)])

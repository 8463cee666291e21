"""The simple recurrent network: Elman (1990), "Finding structure in time", Cognitive Science 14(2).

Letters: T time, B batch rows, I input, H hidden.

    h_t = tanh(W x_t + U h_{t-1} + b),   y_t = h_t
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from rl_larnn.memories.stack import Stack, layer_sizes
from rl_larnn.memory import Memory


class ElmanState(NamedTuple):
    hidden: Tensor  # (B, H)


class ElmanLayer(Memory):
    """One layer of :class:`Elman`."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.input_to_hidden = nn.Linear(self.input_size, self.output_size)
        self.hidden_to_hidden = nn.Linear(self.output_size, self.output_size, bias=False)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -1 / math.sqrt(hidden_size), 1 / math.sqrt(hidden_size))

    def initial_state(self, batch_size: int) -> ElmanState:
        return ElmanState(self.zeros(batch_size, self.output_size))

    def step(self, x: Tensor, state: ElmanState) -> tuple[Tensor, ElmanState]:
        hidden = torch.tanh(self.input_to_hidden(x) + self.hidden_to_hidden(state.hidden))
        return hidden, ElmanState(hidden)


class Elman(Stack):
    """Elman network of ``layers`` layers.

    :param input_size: I
    :param hidden_size: H, also the width of the output
    :param layers: depth
    """

    def __init__(self, input_size: int, hidden_size: int = 64, layers: int = 1) -> None:
        super().__init__([ElmanLayer(*sizes) for sizes in layer_sizes(input_size, hidden_size, layers)])

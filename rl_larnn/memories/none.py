"""No memory: the control, which shows how well a task can be done without one."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from rl_larnn.memory import Memory


class NoState(NamedTuple):
    """An empty state of B rows."""

    nothing: Tensor  # (B, 0)


class NoMemory(Memory):
    """A layer that reads the present input only: ``tanh(W x + b)``, as wide as a memory.

    :param input_size: I
    :param hidden_size: O, the width of the output
    """

    def __init__(self, input_size: int, hidden_size: int = 64) -> None:
        super().__init__(input_size, hidden_size)
        self.linear = nn.Linear(self.input_size, self.output_size)

    def initial_state(self, batch_size: int) -> NoState:
        return NoState(self.zeros(batch_size, 0))

    def step(self, x: Tensor, state: NoState) -> tuple[Tensor, NoState]:
        return torch.tanh(self.linear(x)), state

    def scan(self, xs: Tensor, state: NoState, starts: Tensor) -> tuple[Tensor, NoState]:
        return torch.tanh(self.linear(xs)), state

"""Depth: memories on top of each other, each reading the outputs of the one below."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn

from rl_larnn.memory import Memory
from rl_larnn.state import State


class StackState(NamedTuple):
    """One state per layer, lowest first."""

    layers: tuple[State, ...]


class Stack(Memory):
    """Several memories as one.

    :param layers: memories, lowest first; the output size of each is the input size of the next
    :param residual: add the input of each layer to its output (all sizes equal)
    :raises ValueError: where sizes do not fit
    """

    def __init__(self, layers: Sequence[Memory], residual: bool = False) -> None:
        super().__init__(layers[0].input_size, layers[-1].output_size)
        for below, above in itertools.pairwise(layers):
            if below.output_size != above.input_size:
                raise ValueError(
                    f"a layer with {below.output_size} outputs cannot feed one with {above.input_size} inputs"
                )
        self.layers: Sequence[Memory] = nn.ModuleList(layers)  # type: ignore[assignment]
        self.residual = residual

    def initial_state(self, batch_size: int) -> StackState:
        return StackState(tuple(layer.initial_state(batch_size) for layer in self.layers))

    def step(self, x: Tensor, state: StackState) -> tuple[Tensor, StackState]:
        after = []
        for layer, layer_state in zip(self.layers, state.layers, strict=True):
            y, layer_state = layer.step(x, layer_state)
            x = x + y if self.residual else y
            after.append(layer_state)
        return x, StackState(tuple(after))

    def scan(self, xs: Tensor, state: StackState, starts: Tensor) -> tuple[Tensor, StackState]:
        after = []
        for layer, layer_state in zip(self.layers, state.layers, strict=True):
            ys, layer_state = layer.scan(xs, layer_state, starts)
            xs = xs + ys if self.residual else ys
            after.append(layer_state)
        return xs, StackState(tuple(after))


def layer_sizes(input_size: int, hidden_size: int, layers: int) -> list[tuple[int, int]]:
    """(inputs, outputs) of each layer of a stack of equal layers.

    :raises ValueError: unless ``layers`` is at least 1
    """
    if layers < 1:
        raise ValueError(f"layers must be at least 1, got {layers}")
    return [(input_size if index == 0 else hidden_size, hidden_size) for index in range(layers)]

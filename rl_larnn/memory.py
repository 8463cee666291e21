"""What a memory is: how to start, how to step, how to scan.

Letters: T time, B batch rows, I input, O output.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from rl_larnn.state import State, packed_width, select


class Memory(nn.Module, ABC):
    """A recurrent core. Subclasses write :meth:`initial_state` and :meth:`step`; a faster :meth:`scan` is optional.

    The contract, checked by the tests for every memory in the table:

    * ``scan`` equals ``step`` repeated, in outputs, final state and gradients;
    * a true start flag forgets everything before it, by selecting the initial state ahead of any arithmetic;
    * the state is a value: float tensors, batch first, same shapes and dtypes after each step;
    * the initial state packs to zeros (stock sb3-contrib starts and resets states with zeros);
    * rows never influence rows, and no output depends on later inputs.

    :param input_size: I, features per step
    :param output_size: O, features of each output
    :raises ValueError: if either is below 1
    """

    def __init__(self, input_size: int, output_size: int) -> None:
        super().__init__()
        for name, size in (("input_size", input_size), ("hidden_size", output_size)):
            if size < 1:
                raise ValueError(f"{name} must be at least 1, got {size}")
        # Sizes taken from spaces are NumPy integers, which torch layers refuse.
        self.input_size = int(input_size)
        self.output_size = int(output_size)

    @abstractmethod
    def initial_state(self, batch_size: int) -> State:
        """The empty memory: a state of ``batch_size`` rows, on the device and in the dtype of the parameters."""

    @abstractmethod
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Read one input.

        :param x: ``(B, I)``
        :param state: state of B rows, left unchanged
        :return: output ``(B, O)`` and the state after it
        """

    def scan(self, xs: Tensor, state: State, starts: Tensor) -> tuple[Tensor, State]:
        """Read a sequence in which new episodes may begin anywhere.

        :param xs: ``(T, B, I)``
        :param state: state of B rows before the first step
        :param starts: ``(T, B)`` bool; true where an observation opens a new episode: forget all *before* it
        :return: outputs ``(T, B, O)`` and the state after the last step
        """
        initial = self.initial_state(xs.shape[1])
        outputs = []
        for x, start in zip(xs, starts, strict=True):
            output, state = self.step(x, select(start, initial, state))
            outputs.append(output)
        return torch.stack(outputs), state

    @property
    def state_size(self) -> int:
        """D, the width of a packed state."""
        return packed_width(self.initial_state(1))

    def zeros(self, *shape: int) -> Tensor:
        """Zeros on the device and in the dtype of this memory's parameters (of torch's default without any)."""
        parameter = next(self.parameters(), None)
        return torch.zeros(shape) if parameter is None else parameter.new_zeros(shape)

    @torch.no_grad()
    def orthogonal_init(self) -> None:
        """Make the weight matrices orthogonal (SB3's ``ortho_init``), gate by gate; biases keep their values."""
        for module in self.modules():
            rows = getattr(module, "output_size", 0) if isinstance(module, Memory) else 0
            for name, parameter in module.named_parameters() if rows else ():
                if name.endswith("weight") and parameter.dim() == 2:
                    for block in parameter.split(rows if parameter.shape[0] % rows == 0 else parameter.shape[0]):
                        nn.init.orthogonal_(block)

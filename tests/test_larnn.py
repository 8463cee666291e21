"""What LARNN's options do. Its numbers are in ``test_goldens.py``."""

from __future__ import annotations

import pytest
import torch

from rl_larnn.memories import Larnn


def test_attention_of_scale_zero_changes_no_output_at_first_but_is_learned() -> None:
    torch.manual_seed(0)
    memory, xs, starts = Larnn(3, 8, attention_scale=0.0), torch.randn(9, 2, 3), torch.zeros(9, 2)
    before, _ = memory.scan(xs, memory.initial_state(2), starts)
    (layer,) = memory.layers
    before.square().sum().backward()
    assert layer.attention_norm.weight.grad.abs().min() > 0
    torch.nn.init.normal_(layer.output.weight)
    after, _ = memory.scan(xs, memory.initial_state(2), starts)
    torch.testing.assert_close(after, before, rtol=0, atol=0)


@pytest.mark.parametrize("bounded", [False, True])
def test_a_bounded_cell_that_grows_gives_outputs_of_at_most_one(bounded: bool) -> None:
    """All gates open: the cell grows by one at each step."""
    memory, xs = Larnn(3, 8, bounded=bounded), torch.zeros(300, 1, 3)
    (layer,) = memory.layers
    torch.nn.init.constant_(layer.input_to_gates.bias, 20.0)
    for weight in (layer.hidden_to_gates.weight, layer.attention_to_gates.weight):
        torch.nn.init.zeros_(weight)
    outputs, state = memory.scan(xs, memory.initial_state(1), torch.zeros(300, 1))
    torch.testing.assert_close(state.layers[0].cells[0, -1], torch.full((8,), 300.0))
    torch.testing.assert_close(outputs[-1, 0], torch.full((8,), 1.0 if bounded else 300.0))

"""Memories whose gates or decays start with half-lives up to a horizon."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from memory_cases import state_like
from torch import Tensor

from rl_larnn.memories import MEMORIES, Aaren, Memory
from rl_larnn.memories.horizon import keep_bias


@pytest.mark.parametrize("horizon", [2, 10, 1500, 10**6])
def test_half_lives_are_log_uniform_up_to_the_horizon(horizon: int) -> None:
    torch.manual_seed(0)
    keep = torch.sigmoid(keep_bias(5000, horizon).double())
    half_lives = math.log(0.5) / torch.log(keep)
    assert half_lives.min() > 2 * 0.999 and half_lives.max() < horizon * 1.001
    if horizon > 2:
        place = (half_lives / 2).log() / math.log(horizon / 2)  # uniform from 0 to 1
        torch.testing.assert_close(
            place.quantile(torch.arange(1, 10).double() / 10), torch.arange(1, 10).double() / 10, rtol=0, atol=0.03
        )


@pytest.mark.parametrize("bias, half_life", [(2.6, 10), (4.3, 50), (5.9, 250), (7.7, 1500)])
def test_half_lives_by_hand(bias: float, half_life: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "rand", lambda size: torch.ones(size))  # the slowest unit there is
    assert keep_bias(1, half_life).item() == pytest.approx(bias, abs=0.06)


def gated(name: str, horizon: int | None, layers: int = 1) -> Memory:
    """A memory whose gates depend on their biases alone, and whose candidates are zero."""
    torch.manual_seed(0)
    memory = MEMORIES[name](3, 64, layers=layers, horizon=horizon)  # type: ignore[call-arg]
    for parameter_name, parameter in memory.named_parameters():
        if not parameter_name.endswith("gates.bias"):
            parameter.data.zero_()
    for layer in memory.layers:  # type: ignore[attr-defined, union-attr]
        candidate = {"lstm": slice(192, 256), "gru": slice(128, 192), "larnn": slice(0, 64)}[name]
        layer.input_to_gates.bias.data[candidate] = 0.0
    return memory


def kept(memory: Memory) -> list[Tensor]:
    """Per layer, what is left after one step of units that held 1."""
    state = memory.step(torch.zeros(1, 3), state_like(memory, 1, 1.0))[1]
    newest = {"LstmState": lambda layer: layer.cell, "GruState": lambda layer: layer.hidden,
              "LarnnState": lambda layer: layer.cells[:, -1]}  # fmt: skip
    return [newest[type(layer).__name__](layer)[0].detach() for layer in state.layers]


@pytest.mark.parametrize("name", ["lstm", "gru", "larnn"])
def test_memories_forget_with_the_half_lives_of_their_horizon(name: str) -> None:
    for left in kept(gated(name, horizon=1000, layers=2)):
        half_lives = math.log(0.5) / torch.log(left)
        assert 2 * 0.99 < half_lives.min() < 4 and 250 < half_lives.max() < 1000 * 1.01
        assert 16 < half_lives.median() < 128


@pytest.mark.parametrize("name", ["lstm", "larnn"])
def test_what_is_slow_to_forget_is_slow_to_learn(name: str) -> None:
    """Input gates are one minus the forget gates, so that a cell at 1 with inputs of 1 stays at 1."""
    memory = gated(name, horizon=100)
    left = kept(memory)[0]
    layer = memory.layers[0]  # type: ignore[index]
    layer.input_to_gates.bias.data[{"lstm": slice(192, 256), "larnn": slice(0, 64)}[name]] = 20.0  # tanh: 1
    torch.testing.assert_close(kept(memory)[0], torch.ones(64), rtol=1e-5, atol=1e-5)
    assert left.max() < 1


@pytest.mark.parametrize("name", ["lstm", "larnn"])
def test_without_a_horizon_the_bias_is_one(name: str) -> None:
    torch.testing.assert_close(kept(gated(name, None))[0], torch.sigmoid(torch.ones(64)))


def test_a_horizon_is_at_least_two_steps() -> None:
    with pytest.raises(ValueError, match=r"^horizon must be at least 2 steps, or None, got 1$"):
        MEMORIES["lstm"](3, 8, horizon=1)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match=r"^horizon must be at least 1 step, or None, got 0\.5$"):
        Aaren(3, horizon=0.5)


def test_the_heads_of_aaren_begin_with_half_lives_up_to_the_horizon() -> None:
    attention = Aaren(3, heads=8, horizon=16).blocks.layers[0].attention
    half_lives = np.log(2) / attention.decay(None).detach().numpy()
    assert half_lives[:-1] == pytest.approx(np.geomspace(np.log(2), 16, 7), rel=1e-5)
    assert half_lives[-1] == pytest.approx(-np.log(2), rel=1e-5)  # what is a step older counts for more
    assert Aaren(3).blocks.layers[0].attention.decay(None)[-2].item() == pytest.approx(0.005, rel=1e-5)

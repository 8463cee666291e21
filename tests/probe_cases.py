"""Memories of which is known what they hold, to test the probes with."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from rl_larnn.agents.probes import PROBES, MemoryConfig, Probe, untrained_scores
from rl_larnn.agents.probes.streams import Stream
from rl_larnn.memory import Memory

#: The probes by lag differ in a number only.
KINDS = [probe for probe in PROBES.values() if probe.name not in ("lag 1", "lag 31", "lag 63")]

every_kind = pytest.mark.parametrize("probe", KINDS, ids=lambda probe: probe.name)


class NoState(NamedTuple):
    nothing: Tensor  # (B, 0)


class Identity(Memory):
    """Outputs its input; zeros in training mode, as scores are of memories in evaluation mode."""

    def __init__(self, input_size: int) -> None:
        super().__init__(input_size, input_size)

    def initial_state(self, batch_size: int) -> NoState:
        return NoState(torch.zeros(batch_size, 0))

    def step(self, x: Tensor, state: NoState) -> tuple[Tensor, NoState]:
        return 0 * x if self.training else x, state


class Past(NamedTuple):
    inputs: Tensor  # (B, W I), newest last


class Window(Memory):
    """Outputs the last ``window`` inputs, and holds nothing else."""

    def __init__(self, input_size: int, window: int) -> None:
        super().__init__(input_size, window * input_size)

    def initial_state(self, batch_size: int) -> Past:
        return Past(torch.zeros(batch_size, self.output_size))

    def step(self, x: Tensor, state: Past) -> tuple[Tensor, Past]:
        inputs = torch.cat([state.inputs[:, self.input_size :], x], dim=1)
        return inputs, Past(inputs)


def untrained(memory: MemoryConfig, probe: Probe) -> float:
    return untrained_scores(memory, [probe])[probe.name]


def answer_shown(probe: Probe) -> Probe:
    """The same probe, with the answers in the inputs too."""

    def draw(*, seed: int, sequences: int) -> Stream:
        xs, hidden = probe.draw(seed=seed, sequences=sequences)
        return Stream(torch.cat([xs, probe.answers(hidden).float()], dim=-1), hidden)

    return replace(probe, draw=draw)

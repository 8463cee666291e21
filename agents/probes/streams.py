"""The sequences that memories are probed with, drawn from a seed.

Letters: T time, B sequences, I inputs, K numbers of an answer.

Symbols are four suits, shown as ``RepeatPrevious`` shows them: one-hot, with a flag on the first step.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from rl_larnn.envs import make

SYMBOLS = 4
BLANK = -1

#: A controller that balances the pole: gains of position, velocity, angle and angular velocity, and its noise.
_GAINS = np.array([0.3, 0.9, 6.0, 1.5])
_CONTROL_NOISE = 0.6


class Stream(NamedTuple):
    """What a memory reads, and the hidden variables that answers are computed from."""

    xs: Tensor  # (T, B, I)
    hidden: Tensor  # (T, B) symbols, or (T, B, K) numbers


#: Draws the stream of a ``seed`` with so many ``sequences``; the same one each time.
Draw = Callable[..., Stream]


@lru_cache
def uniform_symbols(*, seed: int, sequences: int, steps: int, blanks: int = 0) -> Stream:
    """Symbols of equal chance, then ``blanks`` steps that show none."""
    symbols = torch.randint(SYMBOLS, (steps, sequences), generator=torch.Generator().manual_seed(seed))
    symbols = torch.cat([symbols, torch.full((blanks, sequences), BLANK)])
    return Stream(_shown(symbols), symbols)


@lru_cache
def biased_symbols(*, seed: int, sequences: int, steps: int) -> Stream:
    """Symbols of which the first is shown at another rate in every sequence, anything from never to always.

    With one rate for all, the number of steps alone would nearly tell how often it was shown.
    """
    generator = torch.Generator().manual_seed(seed)
    rates = torch.rand(sequences, generator=generator)
    others = torch.randint(1, SYMBOLS, (steps, sequences), generator=generator)
    symbols = torch.where(torch.rand(steps, sequences, generator=generator) < rates, 0, others)
    return Stream(_shown(symbols), symbols)


@lru_cache
def cartpole(*, seed: int, sequences: int, steps: int) -> Stream:
    """CartPole under a noisy controller that sees everything; the memory is shown the two positions.

    The positions are in units of their standard deviations; hidden are both velocities ``(T, B, 2)``. The controller
    holds the pole for far longer than a stream.
    """
    env, random = make("CartPole-POMDP-v0", disable_env_checker=True), np.random.default_rng(seed)
    positions, states = np.zeros((steps, sequences, 2), np.float32), np.zeros((steps, sequences, 4))
    for place in range(sequences):
        for step in range(steps):
            if step == 0:
                shown = env.reset(seed=int(random.integers(2**31)))[0]
            else:
                force = states[step - 1, place] @ _GAINS + _CONTROL_NOISE * random.standard_normal()
                shown = env.step(int(force > 0))[0]
            positions[step, place], states[step, place] = shown, env.unwrapped.state  # type: ignore[attr-defined]
    env.close()
    return Stream(torch.from_numpy(positions / positions.std((0, 1))), torch.from_numpy(states[..., [1, 3]]))


def _shown(symbols: Tensor) -> Tensor:
    """Suits one-hot, zeros for a blank, and the flag: ``(T, B, 5)``."""
    suits = one_hot(symbols.clamp(min=0), SYMBOLS) * (symbols != BLANK).unsqueeze(-1)
    first = torch.zeros_like(suits[..., :1])
    first[0] = 1
    return torch.cat([suits, first], dim=-1).float()

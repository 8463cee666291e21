"""The sequences that memories are probed with, drawn from a seed.

Letters: T time, B sequences, I inputs.

Symbols are four suits, shown as ``RepeatPrevious`` shows them: one-hot, with a flag on the first step.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple, Protocol

import numpy as np
import torch
from gymnasium import Env
from torch import Tensor
from torch.nn.functional import one_hot

from rl_larnn.envs import make

SYMBOLS = 4
BLANK = -1

#: What the hand that balances the pole makes of position, velocity, angle and angular velocity, and its noise.
_HAND = np.array([0.3, 0.9, 6.0, 1.5])
_HAND_NOISE = 0.6


class Stream(NamedTuple):
    """What a memory reads, and what there is to be known of it."""

    xs: Tensor  # (T, B, I)
    hidden: Tensor  # (T, B) symbols, or (T, B, K) numbers


class Draw(Protocol):
    """Draws a stream; the same one each time."""

    def __call__(self, *, seed: int, sequences: int) -> Stream: ...


@lru_cache
def even(*, seed: int, sequences: int, steps: int, blanks: int = 0) -> Stream:
    """Symbols of equal chance, then ``blanks`` steps that show none."""
    symbols = torch.randint(SYMBOLS, (steps, sequences), generator=_generator(seed))
    symbols = torch.cat([symbols, torch.full((blanks, sequences), BLANK)])
    return Stream(_shown(symbols), symbols)


@lru_cache
def uneven(*, seed: int, sequences: int, steps: int) -> Stream:
    """Symbols of which the first has a share of its own in every sequence, anything from none to all.

    With one share for all, the time alone would nearly tell how many there were.
    """
    generator = _generator(seed)
    share = torch.rand(sequences, generator=generator)
    others = torch.randint(1, SYMBOLS, (steps, sequences), generator=generator)
    symbols = torch.where(torch.rand(steps, sequences, generator=generator) < share, 0, others)
    return Stream(_shown(symbols), symbols)


@lru_cache
def balancing(*, seed: int, sequences: int, steps: int) -> Stream:
    """CartPole under a noisy hand that sees everything; the memory is shown the two positions, each in its own spread.

    What is hidden are both velocities ``(T, B, 2)``. The hand holds the pole for far longer than a stream.
    """
    env, random = make("CartPole-POMDP-v0", disable_env_checker=True), np.random.default_rng(seed)
    episodes = [_balance(env, random, steps) for _ in range(sequences)]
    env.close()
    positions, states = (np.stack(parts, axis=1) for parts in zip(*episodes, strict=True))
    return Stream(torch.from_numpy(positions / positions.std((0, 1))), torch.from_numpy(states[..., [1, 3]]))


def _balance(env: Env, random: np.random.Generator, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Observations ``(T, 2)`` and states ``(T, 4)`` from the start of an episode."""
    seen = [env.reset(seed=int(random.integers(2**31)))[0]]
    states = [np.array(env.unwrapped.state)]  # type: ignore[attr-defined]
    while len(seen) < steps:
        push = states[-1] @ _HAND + _HAND_NOISE * random.standard_normal()
        seen.append(env.step(int(push > 0))[0])
        states.append(np.array(env.unwrapped.state))  # type: ignore[attr-defined]
    return np.stack(seen), np.stack(states)


def _shown(symbols: Tensor) -> Tensor:
    """Suits one-hot, zeros for a blank, and the flag: ``(T, B, 5)``."""
    suits = one_hot(symbols.clamp(min=0), SYMBOLS) * (symbols != BLANK).unsqueeze(-1)
    first = torch.zeros_like(suits[..., :1])
    first[0] = 1
    return torch.cat([suits, first], dim=-1).float()


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)

"""Gates that start with the time scales of a task, after the chrono initialisation (Tallec and Ollivier, 2018,
arXiv 1804.11188).

A gate of constant value f has the half-life L where f^L = 1/2, so its bias is logit(2^(-1/L)), about log(L / ln 2): 0.9
for 2 steps, 2.6 for 10, 5.9 for 250. Here log L is uniform between log 2 and log(horizon).

Differs from the paper, whose biases are log(uniform(1, horizon - 1)): there L itself is uniform, and at a horizon of
1000 hardly one unit of 64 has a half-life under ten steps. That suits copying over a known lag. An agent needs the last
few steps as well, for velocities for example, so here every order of magnitude gets as many units.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

#: The shortest half-life, in steps. Its bias is about the 1 that forget gates start with where no horizon is given.
SHORTEST = 2


def keep_bias(size: int, horizon: float) -> Tensor:
    """Biases ``(size,)`` of sigmoid gates that multiply what is kept, drawn at random.

    :param horizon: steps over which the slowest units keep half
    :raises ValueError: for a horizon under 2 steps
    """
    if horizon < SHORTEST:
        raise ValueError(f"horizon must be at least {SHORTEST} steps, or None, got {horizon}")
    half_lives = SHORTEST * (horizon / SHORTEST) ** torch.rand(size)
    return -torch.log(torch.expm1(math.log(2) / half_lives))  # logit(2^(-1/L)), without rounding f to 1


@torch.no_grad()
def set_horizon(horizon: float, keep: Tensor, take: Tensor | None = None) -> None:
    """Give gates the biases of a horizon, in place.

    :param keep: ``(H,)``, biases of the gates that multiply what is kept
    :param take: ``(H,)``, those of gates that multiply what comes in, if there are any: the negative, so that a unit
        averages over as many steps as it keeps
    """
    keep.copy_(keep_bias(len(keep), horizon))
    if take is not None:
        take.copy_(-keep)

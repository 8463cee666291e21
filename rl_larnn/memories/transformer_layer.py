"""One block of the Transformer, and its attention mask.

Letters: N sequences, K tokens of each, Q of them with a query, E features, A heads, C steps of the context.

Pre-norm, as in GPT-2: x + attention(norm x), then + feed-forward(norm x), four times as wide inside. Positions enter as
a learned bias per head and age in steps, added to the scores (after Shaw et al., 2018, arXiv 1803.02155; a scalar, as
in Raffel et al., 2020, arXiv 1910.10683): the age between two tokens stays the same while the window moves on. The
biases begin as slopes, from -1 per step in the first head to 0 in the last, as LARNN's do; with zeros, attention would
begin as an average that does not depend on order, the same in all heads. Weights are initialised as torch's own layers
are, like Aaren's: GPT-2's standard deviation of 0.02 is meant for layers twelve times as wide, and learned worse in
these. No dropout: a second forward pass would differ from the first, and PPO's probability ratio from 1.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention


class Mask(NamedTuple):
    """Which tokens attend to which, and how many steps older these are."""

    allowed: Tensor  # (N, 1, Q, K) bool; a token always attends to itself, so no row is empty
    ages: Tensor  # (Q, K) whole steps, from 0 to C - 1; without meaning where not allowed

    def of_queries(self, chosen: slice) -> Mask:
        """The rows of some of the queries."""
        return Mask(self.allowed[:, :, chosen], self.ages[chosen])


def causal_mask(first: Tensor, parts: int, context: int) -> Mask:
    """Each token attends to itself and to those before it, back to a first step.

    :param first: ``(N, steps)``, the index of the first step that each step attends to; where it is later than the step
        itself, each of its tokens attends to itself alone
    :param parts: tokens of each step
    :param context: C
    """
    index = torch.arange(first.shape[1] * parts, device=first.device)
    step = index // parts
    itself, before = index.unsqueeze(1) == index, index.unsqueeze(1) > index
    reached = step >= first.repeat_interleave(parts, dim=1).unsqueeze(-1)
    return Mask((itself | before & reached).unsqueeze(1), (step.unsqueeze(1) - step).clamp(0, context - 1))


class Projected(NamedTuple):
    """Queries, keys and values of tokens, each ``(..., E)``."""

    query: Tensor
    key: Tensor
    value: Tensor


class TransformerLayer(nn.Module):
    """Attention and feed-forward, each behind a norm and around a residual.

    :param size: E, inputs and outputs
    :param heads: A, must divide E
    :param context: C, the number of ages
    """

    def __init__(self, size: int, heads: int, context: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(size)
        # Without a bias: the norm has one, and that of keys would cancel in the softmax.
        self.projection = nn.Linear(size, 3 * size, bias=False)
        self.age_bias = nn.Parameter(-torch.linspace(1.0, 0.0, heads).unsqueeze(1) * torch.arange(context))
        self.output = nn.Linear(size, size)
        self.forward_norm = nn.LayerNorm(size)
        self.feed_forward = nn.Sequential(nn.Linear(size, 4 * size), nn.GELU(), nn.Linear(4 * size, size))

    def project(self, x: Tensor) -> Projected:
        """Queries, keys and values of tokens ``(..., E)``; they need no other token."""
        return Projected(*self.projection(self.attention_norm(x)).chunk(3, dim=-1))

    def forward(self, x: Tensor, projected: Projected, mask: Mask) -> Tensor:
        """The output of the block for Q tokens, ``(N, Q, E)``.

        :param x: ``(N, Q, E)``
        :param projected: queries of the same tokens ``(N, Q, E)``; keys and values of all ``(N, K, E)``
        :param mask: of the Q tokens
        """
        scores = torch.where(mask.allowed, self.age_bias[:, mask.ages], -torch.inf)  # (N, A, Q, K)
        query, key, value = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in projected)
        read = scaled_dot_product_attention(query, key, value, scores)
        x = x + self.output(read.transpose(1, 2).flatten(2))
        return x + self.feed_forward(self.forward_norm(x))

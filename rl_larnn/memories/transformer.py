"""A causal Transformer over the last steps: Vaswani et al. (2017), arXiv 1706.03762, in the form of GPT-2.

Letters: T time, B batch rows, I input, E features, L layers, C steps of the context, P parts of a step.

The state is the last C - 1 inputs. Each step appends its own and runs all layers over these C inputs; the output is
that of the newest token, after a last norm. So the output depends on the last C steps exactly. A band of C keys in each
layer would be cheaper, but would reach back L (C - 1) steps.

It is the baseline of offline sequence learning: with a return-to-go, the previous action and the time among its inputs
it is a Decision Transformer (Chen et al., 2021, arXiv 2106.01345), which makes three tokens of each step: ``tokens``.

A scan computes the same numbers in one of two ways. Where no window cuts an episode, one causal pass serves all steps:
a token's features are then the same in every window. Otherwise each step has a window of its own, for C times the work,
though the first layer's queries, keys and values are computed once and the last layer has one query only. Windows are
read in slices of time, and recomputed for the gradients instead of being stored.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import partial
from numbers import Integral
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, pad
from torch.utils.checkpoint import checkpoint

from rl_larnn.memories.options import check_heads
from rl_larnn.memories.stack import layer_sizes
from rl_larnn.memories.transformer_layer import Mask, Projected, TransformerLayer, causal_mask
from rl_larnn.memory import Memory

#: The most numbers in one activation of a slice of windows.
SLICE = 2**20


class TransformerState(NamedTuple):
    """Zeros are the empty memory."""

    inputs: Tensor  # (B, C - 1, I), newest last, zeros where none was read
    filled: Tensor  # (B, 1), inputs read since the start, at most C - 1


class Transformer(Memory):
    """A causal Transformer over the last ``context`` steps.

    :param input_size: I
    :param hidden_size: E, also the width of the output
    :param layers: L
    :param heads: A, must divide ``hidden_size``
    :param context: C, steps that are seen, the newest one included
    :param tokens: sizes of the parts that each input is split into, in this order. Each part is a token with an
        embedding of its own, whose bias tells which part it is; the output is read at the last. None: one token a step
    :raises ValueError: for an option out of range, with the nearest valid one
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int = 64,
        layers: int = 2,
        heads: int = 4,
        context: int = 20,
        tokens: tuple[int, ...] | list[int] | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size)
        check_heads(hidden_size, heads)
        if context < 1:
            raise ValueError(f"context must be at least 1, got {context}")
        if tokens is not None:
            check_tokens(tokens, self.input_size)
        self.context = context
        self.tokens = [self.input_size] if tokens is None else [int(size) for size in tokens]
        self.embeddings = nn.ModuleList([nn.Linear(part, self.output_size) for part in self.tokens])
        sizes = layer_sizes(self.output_size, self.output_size, layers)
        blocks = nn.ModuleList([TransformerLayer(size, heads, context) for size, _ in sizes])
        self.layers: Sequence[TransformerLayer] = blocks  # type: ignore[assignment]
        self.norm = nn.LayerNorm(self.output_size)

    def initial_state(self, batch_size: int) -> TransformerState:
        return TransformerState(self.zeros(batch_size, self.context - 1, self.input_size), self.zeros(batch_size, 1))

    def step(self, x: Tensor, state: TransformerState) -> tuple[Tensor, TransformerState]:
        no_start = torch.zeros(1, len(x), dtype=torch.bool, device=x.device)
        outputs, state = self.scan(x.unsqueeze(0), state, no_start)
        return outputs[0], state

    def scan(self, xs: Tensor, state: TransformerState, starts: Tensor) -> tuple[Tensor, TransformerState]:
        steps, carried = len(xs), self.context - 1
        first = self._first_seen(starts, state.filled)
        inputs = torch.cat([state.inputs.transpose(0, 1), xs])
        place = torch.arange(len(inputs), device=xs.device).unsqueeze(1)
        # Inputs that no step sees may be NaN, so they are masked ahead of any arithmetic.
        inputs = inputs.masked_fill((place < first[0]).unsqueeze(-1), 0.0)
        outputs = self._read(inputs, first)
        left = inputs[steps:].masked_fill((place[steps:] < first[-1]).unsqueeze(-1), 0.0).transpose(0, 1)
        since_start = (steps + carried - first[-1]).unsqueeze(1).to(state.filled.dtype)
        filled = torch.where(starts.any(0).unsqueeze(1), since_start, state.filled + steps)
        return outputs, TransformerState(left, filled.clamp(max=carried))

    def _first_seen(self, starts: Tensor, filled: Tensor) -> Tensor:
        """For each step the first place of its episode ``(T, B)``, among C - 1 carried inputs and T new ones.

        As a float, since a state that a start is about to forget may be NaN.
        """
        carried = self.context - 1
        place = torch.arange(carried, carried + len(starts), device=starts.device).unsqueeze(1)
        latest = torch.where(starts, place, -1).cummax(0).values
        return torch.where(latest >= 0, latest, carried - filled.detach().float().squeeze(1))

    def _read(self, inputs: Tensor, first: Tensor) -> Tensor:
        """Outputs ``(T, B, E)`` of the last T of the inputs ``(C - 1 + T, B, I)``."""
        parts = zip(inputs.split(self.tokens, dim=-1), self.embeddings, strict=True)
        tokens = torch.stack([embed(part) for part, embed in parts], dim=2)  # (C - 1 + T, B, P, E)
        # The window of step t begins at place t.
        begin = first - torch.arange(len(first), device=first.device).unsqueeze(1)
        if self._fits(tokens, begin):
            return self._read_at_once(tokens, first)
        return self._read_windows(torch.cat([tokens, *self.layers[0].project(tokens)], dim=-1), begin)

    def _fits(self, tokens: Tensor, begin: Tensor) -> bool:
        """Whether no window cuts an episode, so that one pass serves all steps."""
        if not 1 < len(begin) <= self.context:
            return False
        # Attention multiplies masked values by zero, and zero times NaN is NaN; a window has no later tokens at all.
        return bool((begin >= 0).all() & torch.isfinite(tokens).all())

    def _read_at_once(self, tokens: Tensor, first: Tensor) -> Tensor:
        """One pass over the tokens ``(C - 1 + T, B, P, E)``, less those that no row sees."""
        lowest, carried = int(first[0].min()), self.context - 1
        x = tokens[lowest:].transpose(0, 1).flatten(1, 2)
        first_of_each = torch.cat([first[:1].expand(carried, -1), first])[lowest:] - lowest
        mask = causal_mask(first_of_each.t(), len(self.tokens), self.context)
        return self._run(x, self.layers[0].project(x), mask, len(first)).transpose(0, 1)

    def _read_windows(self, x: Tensor, begin: Tensor) -> Tensor:
        """A window for each step, in slices of time.

        :param x: tokens, and their queries, keys and values of the first layer, side by side ``(C - 1 + T, B, P, 4E)``
        :param begin: ``(T, B)``, the first visible place of each window
        """
        steps, rows = begin.shape
        length = max(1, SLICE // (rows * self.context * len(self.tokens) * self.output_size))
        if steps <= length:
            return self._read_slice(begin, x)
        read = partial(checkpoint, self._read_slice, use_reentrant=False, preserve_rng_state=False)
        # Pieces, not overlapping slices: the gradient of a slice is as long as the whole tensor.
        pieces, reach = x.split(length), 1 + math.ceil((self.context - 1) / length)
        return torch.cat([read(own, *pieces[at : at + reach]) for at, own in enumerate(begin.split(length))])

    def _read_slice(self, begin: Tensor, *pieces: Tensor) -> Tensor:
        """Outputs ``(T, B, E)`` of some steps, given the pieces that their windows cover."""
        (steps, rows), x = begin.shape, torch.cat(pieces)
        place = torch.arange(self.context, device=x.device)
        at = torch.arange(steps, device=x.device).view(-1, 1, 1) + place
        at = at * rows + torch.arange(rows, device=x.device).unsqueeze(-1) + 1  # (T, B, C)
        # Row 0 of the table is zeros: unseen tokens may be NaN, so they must not even be multiplied by zero.
        table = pad(x.flatten(2).flatten(0, 1), (0, 0, 1, 0))
        windows = embedding(at.masked_fill(place < begin.unsqueeze(-1), 0).flatten(0, 1), table)  # (T B, C, P 4E)
        x, *projected = windows.view(len(windows), -1, x.shape[-1]).chunk(4, dim=-1)
        mask = causal_mask(begin.view(-1, 1).expand(-1, self.context), len(self.tokens), self.context)
        return self._run(x, Projected(*projected), mask, 1).view(steps, rows, -1)

    def _run(self, x: Tensor, projected: Projected, mask: Mask, newest: int) -> Tensor:
        """All layers over sequences ``(N, K, E)``; outputs of the newest steps, ``(N, newest, E)``."""
        parts = len(self.tokens)
        read = slice(x.shape[1] - 1 - parts * (newest - 1), None, parts)  # the last token of each of these steps
        for below, above in itertools.pairwise(self.layers):
            x = below(x, projected, mask)
            projected = above.project(x)
        query, key, value = projected
        return self.norm(self.layers[-1](x[:, read], Projected(query[:, read], key, value), mask.of_queries(read)))


def check_tokens(tokens: Sequence[int], input_size: int) -> None:
    """:raises ValueError: unless ``tokens`` are positive sizes that sum to ``input_size``."""
    whole = all(isinstance(size, Integral) and size > 0 for size in tokens)
    if whole and sum(tokens) == input_size:
        return
    rest = input_size - sum(tokens[:-1]) if tokens and whole else 0
    hint = f"; nearest valid tokens: {(*tokens[:-1], rest)}" if rest > 0 else ""
    raise ValueError(f"tokens must be positive sizes that sum to the {input_size} inputs, got {tuple(tokens)}{hint}")

"""Aaren: attention as a recurrent network. Feng et al. (2024), "Attention as an RNN", arXiv 2405.13956.

Letters: T time, B batch rows, I input, E features, A heads, D = E / A head width.

Each layer has one learned query token q, the same at every step. Per head, with k_t = W_k x_t + b_k and
v_t = W_v x_t + b_v, the score of a token is (W_q q + b_q) . k_t / sqrt(D), and the output at t is the softmax average
of v_1 ... v_t (:mod:`rl_larnn.scan`), followed by W_o. Training runs over all steps at once; acting needs A (D + 2)
numbers per layer, however long the episode. A block is pre-norm: x + attention(norm x), then + feed-forward(norm x),
four times as wide inside. With E = 512 it has the paper's 3,152,896 parameters.

Differs from the paper, by switches (off, each leaves the paper's module):

* ``recency="decay"`` (the default) lowers the score of a token by c at each step that it grows older, with a learned c
  per head. The plain average (``recency="none"``, the paper's) is blind to order: it cannot tell a rising angle from a
  falling one. Heads begin with c from 1 to 0.005, and the last with c = -1: it raises what is old, and so holds on to
  what came first, however long ago. ``recency="gate"`` makes c a function of the token,
  c_t = 0.005 sinh(theta + W x_t), which begins with W = 0: a forget gate that can also close the memory to what
  comes, per token.
* ``phases=True`` turns the values by an angle per step of age, another one for each pair of features, so that a linear
  layer can tell what was shown how long ago (:mod:`rl_larnn.scan`). The angles begin evenly spread from 0 to pi; the
  last head, which keeps what came first, has none.
* ``clock=True`` gives the output projection one more number per head: the log of the total weight relative to that of
  the newest token (:mod:`rl_larnn.scan`). An average alone is the same after one token and after a hundred equal ones.
* ``gate=True`` multiplies the attention by sigmoid(W x_t + b), which begins at 0.27: a block that is almost the
  identity (after the gates of Parisotto et al., 2020, arXiv 1910.06764).

Both W are zero in a fresh memory, and orthogonal in a policy with ``ortho_init`` (the default of Stable-Baselines3's).

And always:

* The query is folded into W_k: a score is one dot product with the input, since q does not depend on it.
* Inputs pass through a linear layer first (to E features), outputs through a last norm.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from rl_larnn import native
from rl_larnn.memories.aaren_native import BlockWeights, native_block_scan
from rl_larnn.memories.options import check_choice, check_heads
from rl_larnn.memories.stack import Stack, StackState, layer_sizes
from rl_larnn.memory import Memory
from rl_larnn.scan import AverageState, average_scan, average_step

Recency = Literal["none", "decay", "gate"]

#: Decays per step that the heads start from, fastest first: half-lives from one step to some hundred.
FASTEST, SLOWEST = 1.0, 0.005
#: The last head's: it keeps what came first.
FIRST = -1.0
#: Logit of the output gate at the start: a quarter of the attention passes.
CLOSED = -1.0


class AarenOptions(NamedTuple):
    """The switches of :class:`Aaren`."""

    recency: Recency = "decay"
    phases: bool = False
    clock: bool = False
    gate: bool = False
    horizon: float | None = None


class AarenAttention(Memory):
    """The attention of one layer, without norm, residual or feed-forward.

    :param size: E, inputs and outputs
    :param heads: A, must divide E
    :param options: see :class:`Aaren`
    """

    def __init__(self, size: int, heads: int, options: AarenOptions) -> None:
        super().__init__(size, size)
        self.heads, self.width, self.clock = heads, size // heads, options.clock
        self.query_token = nn.Parameter(torch.randn(size))
        self.query = nn.Linear(size, size)
        self.key = nn.Linear(size, size)
        self.value = nn.Linear(size, size)
        self.output = nn.Linear(size + heads * options.clock, size)
        self.aging: nn.Parameter | None
        self.register_parameter(
            "aging", None if options.recency == "none" else nn.Parameter(initial_aging(heads, options.horizon))
        )
        self.forget = nn.Linear(size, heads, bias=False) if options.recency == "gate" else None
        if self.forget is not None:
            nn.init.zeros_(self.forget.weight)
        self.gate = nn.Linear(size, size) if options.gate else None
        if self.gate is not None:
            nn.init.zeros_(self.gate.weight)
            nn.init.constant_(self.gate.bias, CLOSED)
        self.phase: nn.Parameter | None
        self.register_parameter("phase", nn.Parameter(initial_phases(heads, size // 2)) if options.phases else None)

    def initial_state(self, batch_size: int) -> AverageState:
        per_head = self.zeros(batch_size, self.heads)
        return AverageState(per_head, per_head.clone(), self.zeros(batch_size, self.heads, self.width))

    def step(self, x: Tensor, state: AverageState) -> tuple[Tensor, AverageState]:
        average, state = average_step(*self._tokens(x), state, self.phase, self.clock)
        return self._read(x, average), state

    def scan(self, xs: Tensor, state: AverageState, starts: Tensor) -> tuple[Tensor, AverageState]:
        averages, state = average_scan(*self._tokens(xs), state, starts, self.phase, self.clock)
        return self._read(xs, averages), state

    def decay(self, x: Tensor) -> Tensor | None:
        """c per head ``(A,)``, or per token and head ``(..., A)``; None for 0."""
        if self.aging is None:
            return None
        return SLOWEST * torch.sinh(self.aging if self.forget is None else self.aging + self.forget(x))

    def _tokens(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Scores ``(..., A)``, values ``(..., A, D)`` and decays of tokens ``(..., E)``."""
        query = self.query(self.query_token).view(self.heads, 1, self.width) / math.sqrt(self.width)
        weight = (query @ self.key.weight.view(self.heads, self.width, -1)).squeeze(1)  # (A, E)
        bias = (query.squeeze(1) * self.key.bias.view(self.heads, self.width)).sum(-1)  # (A,)
        values = self.value(x).unflatten(-1, (self.heads, self.width))
        return nn.functional.linear(x, weight, bias), values, self.decay(x)

    def _read(self, x: Tensor, averages: Tensor) -> Tensor:
        read = self.output(averages.flatten(-2))
        return read if self.gate is None else read * torch.sigmoid(self.gate(x))


def initial_aging(heads: int, horizon: float | None) -> Tensor:
    """Where c begins, as asinh(c / SLOWEST) ``(A,)``: from fast to slow, and for the last head below zero.

    :param horizon: half-life of the slowest head in steps; None: that of SLOWEST, 139
    """
    slowest = SLOWEST if horizon is None else math.log(2) / horizon
    decays = torch.linspace(math.log(FASTEST), math.log(slowest), max(heads - 1, 1)).exp()
    if heads > 1:
        decays = torch.cat([decays, torch.tensor([FIRST])])
    return torch.asinh(decays / SLOWEST)


def initial_phases(heads: int, pairs: int) -> Tensor:
    """Angles ``(A, pairs / A)``: evenly from 0 to pi over all heads but the last, which keeps still."""
    # Neighbouring angles go to different heads, so that each head, with its one decay, has them from all over.
    turning = max(heads - 1, 1)
    angles = torch.linspace(0, math.pi, turning * pairs // heads).view(-1, turning).t()
    return torch.cat([angles, torch.zeros(heads - turning, pairs // heads)]).contiguous()


class AarenLayer(Memory):
    """One block of :class:`Aaren`: attention and feed-forward, each behind a norm and around a residual.

    :param size: E, inputs and outputs
    :param heads: A, must divide E
    :param options: see :class:`Aaren`
    """

    def __init__(self, size: int, heads: int, options: AarenOptions) -> None:
        super().__init__(size, size)
        self.attention_norm = nn.LayerNorm(size)
        self.attention = AarenAttention(size, heads, options)
        self.forward_norm = nn.LayerNorm(size)
        self.feed_forward = nn.Sequential(
            nn.Linear(size, 4 * size), nn.GELU(approximate="tanh"), nn.Linear(4 * size, size)
        )
        # Looking up eighteen weights as attributes of modules would cost as much time as one step of the kernel.
        attention, feed_forward = self.attention, self.feed_forward
        linear = (attention.query, attention.key, attention.value, attention.output)
        modules = (self.attention_norm, *linear, self.forward_norm, feed_forward[0], feed_forward[2])
        self._places = [(module._parameters, name) for module in modules for name in ("weight", "bias")]
        self._places += [(attention._parameters, name) for name in ("query_token", "aging")]
        self._places += [_place(attention.forget, "weight"), (attention._parameters, "phase")]
        self._places += [_place(attention.gate, name) for name in ("weight", "bias")]

    def initial_state(self, batch_size: int) -> AverageState:
        return self.attention.initial_state(batch_size)

    def step(self, x: Tensor, state: AverageState) -> tuple[Tensor, AverageState]:
        read, state = self.attention.step(self.attention_norm(x), state)
        return self._combine(x, read), state

    def scan(self, xs: Tensor, state: AverageState, starts: Tensor) -> tuple[Tensor, AverageState]:
        if native.usable(xs, "aaren"):
            return native_block_scan(xs, state, starts, self._weights())
        read, state = self.attention.scan(self.attention_norm(xs), state, starts)
        return self._combine(xs, read), state

    def _weights(self) -> BlockWeights:
        return BlockWeights(*(parameters[name] for parameters, name in self._places))  # type: ignore[arg-type]

    def _combine(self, x: Tensor, read: Tensor) -> Tensor:
        x = x + read
        return x + self.feed_forward(self.forward_norm(x))


def _place(module: nn.Module | None, name: str) -> tuple[dict[str, nn.Parameter | None], str]:
    return ({name: None}, name) if module is None else (module._parameters, name)


class Aaren(Memory):
    """Aaren of ``layers`` blocks.

    :param input_size: I
    :param hidden_size: E, also the width of the output
    :param layers: depth
    :param heads: A, must divide ``hidden_size``
    :param recency: ``"gate"`` for a decay per head that depends on the token, ``"decay"`` for a constant one,
        ``"none"`` for the paper's plain average
    :param phases: turn the values by an angle per step of age, a learned one for each pair of features
    :param clock: let the output see how much has been read
    :param gate: an output gate, almost closed at the start
    :param horizon: half-life of the slowest head at the start, in steps; None for 139. A head that still averages
        at the end of a training episode meets new values in longer ones
    :raises ValueError: where ``heads`` does not divide ``hidden_size``, ``recency`` is unknown, ``horizon`` is under a
        step, or phases find heads of odd width
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int = 64,
        layers: int = 1,
        heads: int = 8,
        recency: Recency = "decay",
        phases: bool = False,
        clock: bool = False,
        gate: bool = False,
        horizon: float | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size)
        check_heads(hidden_size, heads)
        check_choice("recency", recency, ("gate", "decay", "none"))
        if phases and hidden_size // heads % 2:
            raise ValueError(f"phases turn pairs of features: expected heads of even width, got {hidden_size // heads}")
        self.embedding = nn.Linear(self.input_size, hidden_size)
        sizes = layer_sizes(hidden_size, hidden_size, layers)
        if horizon is not None and not horizon >= 1:
            raise ValueError(f"horizon must be at least 1 step, or None, got {horizon}")
        options = AarenOptions(recency, phases, clock, gate, horizon)
        self.blocks = Stack([AarenLayer(size, heads, options) for size, _ in sizes])
        self.norm = nn.LayerNorm(hidden_size)

    def initial_state(self, batch_size: int) -> StackState:
        return self.blocks.initial_state(batch_size)

    def step(self, x: Tensor, state: StackState) -> tuple[Tensor, StackState]:
        y, state = self.blocks.step(self.embedding(x), state)
        return self.norm(y), state

    def scan(self, xs: Tensor, state: StackState, starts: Tensor) -> tuple[Tensor, StackState]:
        ys, state = self.blocks.scan(self.embedding(xs), state, starts)
        return self.norm(ys), state

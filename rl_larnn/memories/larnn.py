"""LARNN: the Linear Attention Recurrent Neural Network. Chevalier (2018), arXiv 1808.05578, as its code has it.

An LSTM that attends over a window of its own past cell states.

Letters: T time, B batch rows, I input, H hidden, W window, A heads, D = H / A head width, F position features.
Rows of each 4H block, in order: g (candidate), f, i, o (gates).

    q = elu(W_q [x; h])                          query
    k_j, v_j = phi(W_k z_j), phi(W_v z_j)     z_j = [cell of age j; its position], phi = norm(elu(.)) or identity
    a = norm(elu(W_o attention(q, k, v)))        attention over the window, per head
    u = W_x x + W_h h + W_a a      (mode "residual")      or      u = W_a [x; h; a]      (mode "layer")
    c = norm(tanh(u_g) sigmoid(u_i) + c_newest sigmoid(u_f))      (normalised by norm="batch" only)
    h = norm(sigmoid(u_o) elu(c)),   y = h                        (likewise; tanh(c) if bounded)

Differs from the published code, which kept its cells in a plain list and so never trained them: cells are registered;
each layer has its own weights and state; one bias instead of two in mode "residual"; no dropout (it would break PPO's
probability ratio); ``norm="layer"`` is the default, because batch statistics make rows depend on each other, and it
leaves out the norms of c and h: a cell divided by its own size at every step cannot decay, whatever the forget gate
says. With ``norm="batch"``, in evaluation mode and with the published weights, the numbers are those of the published
code.
Additions: ``positions="bias"`` (a learned score per head and age), forget bias 1 at the start; ``bounded=True`` reads
the cell through tanh, as an LSTM does. The published norm of h kept outputs in bounds; without it a cell that grows for
a thousand steps gives outputs in the hundreds.
The window starts with one genuine slot, the zero cell; a slot of age j is filled if j <= number of cells so far.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import elu

from rl_larnn import native
from rl_larnn.memories.horizon import set_horizon
from rl_larnn.memories.larnn_native import native_larnn_scan
from rl_larnn.memories.larnn_scan import LarnnWeights, larnn_scan, window_mask
from rl_larnn.memories.options import check_choice, check_heads
from rl_larnn.memories.stack import Stack, layer_sizes
from rl_larnn.memory import Memory

Mode = Literal["residual", "layer"]
Positions = Literal["bias", "sinusoid", "none"]
Norm = Literal["layer", "batch", "none"]

#: Where the scale of the layer-normalised attention starts: almost an LSTM, which learns to look back.
ATTENTION_SCALE = 0.1


class LarnnState(NamedTuple):
    """Zeros are the empty memory: no hidden state and a window that holds the zero cell alone."""

    hidden: Tensor  # (B, H)
    cells: Tensor  # (B, W, H), newest last
    filled: Tensor  # (B, 1), cells computed since the start, at most W


def sinusoids(window: int) -> Tensor:
    """Position features ``(W, F)``, newest slot last: cosines, then sines, over the age counted from 1.

    With b = ceil(log2(4 W)): cos(2 pi p / 2^i) and sin(2 pi p / 2^(i + 1)) for i = 1 ... b, so F = 2 b.
    """
    bits = math.ceil(math.log2(4 * window))
    age = torch.arange(window, 0, -1, dtype=torch.float64).unsqueeze(1)
    wavelength = 2.0 ** torch.arange(1, bits + 1, dtype=torch.float64)
    table = torch.cat([torch.cos(2 * math.pi * age / wavelength), torch.sin(math.pi * age / wavelength)], dim=1)
    return table.float()


def _norm(kind: Norm, size: int) -> nn.Module:
    if kind == "layer":
        return nn.LayerNorm(size)
    return nn.BatchNorm1d(size) if kind == "batch" else nn.Identity()


class LarnnLayer(Memory):
    """One LARNN cell; the parameters are those of :class:`Larnn`."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        window: int,
        heads: int,
        mode: Mode,
        positions: Positions,
        kv_activation: bool,
        norm: Norm,
        horizon: int | None = None,
        attention_scale: float = ATTENTION_SCALE,
        bounded: bool = False,
    ) -> None:
        super().__init__(input_size, hidden_size)
        check_heads(hidden_size, heads)
        size = self.output_size
        self.window, self.heads, self.width = window, heads, size // heads
        self.mode, self.positions, self.kv_activation, self.bounded = mode, positions, kv_activation, bounded
        self.position_table: Tensor
        table = sinusoids(window) if positions == "sinusoid" else torch.zeros(window, 0)
        self.register_buffer("position_table", table, persistent=False)
        features = table.shape[1]
        self.query = nn.Linear(self.input_size + size, size)
        self.key = nn.Linear(size + features, size)
        self.value = nn.Linear(size + features, size)
        self.output = nn.Linear(size, size)
        if mode == "residual":
            self.input_to_gates = nn.Linear(self.input_size, 4 * size)
            self.hidden_to_gates = nn.Linear(size, 4 * size, bias=False)
            self.attention_to_gates = nn.Linear(size, 4 * size, bias=False)
        else:
            self.to_gates = nn.Linear(self.input_size + 2 * size, 4 * size)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -1 / math.sqrt(size), 1 / math.sqrt(size))
        bias = self.input_to_gates.bias if mode == "residual" else self.to_gates.bias
        _, keep, take, _ = bias.split(size)
        if horizon is None:
            nn.init.ones_(keep)
        else:
            set_horizon(horizon, keep, take)
        # A learned score per head and age, newest last; an ALiBi-like slope to begin with, so that heads differ.
        self.position_bias: nn.Parameter | None = None
        if positions == "bias":
            slopes = torch.linspace(1.0, 0.0, heads).unsqueeze(1)
            self.position_bias = nn.Parameter(slopes * torch.arange(1 - window, 1))
        self.kv_norm = _norm(norm, size) if kv_activation else nn.Identity()
        self.attention_norm = _norm(norm, size)
        if norm == "layer":
            nn.init.constant_(self.attention_norm.weight, attention_scale)  # type: ignore[arg-type]
        self.cell_norm, self.hidden_norm = (_norm("batch" if norm == "batch" else "none", size) for _ in range(2))

    def initial_state(self, batch_size: int) -> LarnnState:
        size = self.output_size
        return LarnnState(
            self.zeros(batch_size, size), self.zeros(batch_size, self.window, size), self.zeros(batch_size, 1)
        )

    def step(self, x: Tensor, state: LarnnState) -> tuple[Tensor, LarnnState]:
        return self._advance(self._from_input(x), self._project(state.cells), state, self._recurrent_weights())

    def scan(self, xs: Tensor, state: LarnnState, starts: Tensor) -> tuple[Tensor, LarnnState]:
        """As the contract says; each cell is projected to a key and a value once, when it enters the window."""
        if self.positions == "sinusoid" or isinstance(self.cell_norm, nn.BatchNorm1d):
            return super().scan(xs, state, starts)
        from_inputs = self._from_input(xs)
        weights = self._scan_weights()
        if native.usable(xs, "larnn"):
            hiddens, cells, filled = native_larnn_scan(
                from_inputs, *state, starts, self.heads, self.kv_activation, self.bounded, weights
            )
            return hiddens, LarnnState(hiddens[-1], cells, filled)
        # Attention in torch multiplies masked values by zero, and zero times NaN is NaN; the loop selects instead.
        if not torch.isfinite(from_inputs.sum() + state.cells.sum() + state.hidden.sum()):
            return super().scan(xs, state, starts)
        visible, filled = window_mask(starts, state.filled, self.window)
        hiddens, slots = larnn_scan(
            from_inputs, state.hidden, state.cells, visible, starts, self.heads, self.kv_activation, self.bounded,
            weights,
        )  # fmt: skip
        age = torch.arange(self.window - 1, -1, -1, device=xs.device)
        forgotten = starts.any(0).view(-1, 1) & (age >= filled)  # slots that a start has emptied, (B, W)
        cells = torch.where(forgotten.unsqueeze(-1), 0.0, slots[-self.window :].transpose(0, 1))
        return hiddens, LarnnState(hiddens[-1], cells, filled)

    def _scan_weights(self) -> LarnnWeights:
        hidden, attention = self._recurrent_weights()
        norms = [self.attention_norm, self.kv_norm]
        return LarnnWeights(
            hidden,
            attention,
            self.output.weight,
            self.output.bias,
            torch.cat([self.key.weight, self.value.weight]),
            torch.cat([self.key.bias, self.value.bias]),
            self.position_bias,
            *(getattr(norm, name, None) for norm in norms for name in ("weight", "bias")),
        )

    def attention_weights(self, x: Tensor, state: LarnnState) -> Tensor:
        """The attention weights of a step ``(B, A, W)``, newest slot last, unfilled slots 0."""
        query = self._from_input(x) + nn.functional.linear(state.hidden, self._recurrent_weights()[0])
        return self._attention(query[:, : self.output_size], self._slots(self._project(state.cells))[0], state)

    def _from_input(self, x: Tensor) -> Tensor:
        """The input's part of query and gates ``(..., 5H)``: it needs no state, so a scan computes it for all steps."""
        linear = self.input_to_gates if self.mode == "residual" else self.to_gates
        weight = torch.cat([self.query.weight[:, : self.input_size], linear.weight[:, : self.input_size]])
        return nn.functional.linear(x, weight, torch.cat([self.query.bias, linear.bias]))

    def _recurrent_weights(self) -> tuple[Tensor, Tensor]:
        """From the hidden state to query and gates ``(5H, H)``; from the attention to the gates ``(4H, H)``."""
        query = self.query.weight[:, self.input_size :]
        if self.mode == "residual":
            return torch.cat([query, self.hidden_to_gates.weight]), self.attention_to_gates.weight
        hidden, attention = self.to_gates.weight[:, self.input_size :].split(self.output_size, dim=1)
        return torch.cat([query, hidden]), attention

    def _project(self, cells: Tensor) -> Tensor:
        """Keys and values of cells ``(B, N, H)``, as far as they do not depend on age: ``(B, N, 2, H)``."""
        size = self.output_size
        weight = torch.cat([self.key.weight[:, :size], self.value.weight[:, :size]])
        bias = torch.cat([self.key.bias, self.value.bias])
        projected = nn.functional.linear(cells, weight, bias).unflatten(-1, (2, size))
        return projected if self.positions == "sinusoid" else self._activate(projected)

    def _slots(self, projected: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of a window at its present ages, each ``(B, W, H)``."""
        if self.positions == "sinusoid":
            size = self.output_size
            weight = torch.cat([self.key.weight[:, size:], self.value.weight[:, size:]])
            position = nn.functional.linear(self.position_table.to(weight.dtype), weight)
            projected = self._activate(projected + position.unflatten(-1, (2, size)))
        keys, values = projected.unbind(-2)
        return keys, values

    def _activate(self, projected: Tensor) -> Tensor:
        return _apply(self.kv_norm, elu(projected)) if self.kv_activation else projected

    def _attention(self, query: Tensor, keys: Tensor, state: LarnnState) -> Tensor:
        """Softmax weights ``(B, A, W)`` of the window for pre-activation queries ``(B, H)``."""
        query = elu(query).unflatten(-1, (self.heads, 1, self.width))
        keys = keys.unflatten(-1, (self.heads, self.width)).permute(0, 2, 3, 1)
        scores = (query @ keys).squeeze(2) / math.sqrt(self.width)
        if self.position_bias is not None:
            scores = scores + self.position_bias
        age = torch.arange(self.window - 1, -1, -1, device=scores.device)
        return torch.softmax(scores.masked_fill((age > state.filled).unsqueeze(1), -torch.inf), dim=-1)

    def _advance(
        self, from_input: Tensor, projected: Tensor, state: LarnnState, weights: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, LarnnState]:
        """One step, given the input's part of query and gates and the projected window."""
        size = self.output_size
        query, gates = torch.addmm(from_input, state.hidden, weights[0].t()).split([size, 4 * size], dim=1)
        keys, values = self._slots(projected)
        attention = self._attention(query, keys, state).unsqueeze(2)
        context = (attention @ values.unflatten(-1, (self.heads, self.width)).transpose(1, 2)).flatten(1)
        attended = _apply(self.attention_norm, elu(self.output(context)))
        candidate, sigmoid = torch.addmm(gates, attended, weights[1].t()).split([size, 3 * size], dim=1)
        keep, take, show = torch.sigmoid(sigmoid).chunk(3, dim=1)
        cell = _apply(self.cell_norm, torch.tanh(candidate) * take + state.cells[:, -1] * keep)
        hidden = _apply(self.hidden_norm, show * (torch.tanh(cell) if self.bounded else elu(cell)))
        cells = torch.cat([state.cells[:, 1:], cell.unsqueeze(1)], dim=1)
        return hidden, LarnnState(hidden, cells, (state.filled + 1).clamp(max=self.window))


def _apply(norm: nn.Module, x: Tensor) -> Tensor:
    """Normalise the last axis; BatchNorm wants a matrix, so the axes before it become its rows."""
    return norm(x.flatten(0, -2)).view_as(x) if isinstance(norm, nn.BatchNorm1d) and x.dim() > 2 else norm(x)


class Larnn(Stack):
    """LARNN of ``layers`` cells on top of each other.

    :param input_size: I
    :param hidden_size: H, also the width of the output
    :param layers: depth
    :param heads: A, must divide ``hidden_size``
    :param window: W, past cell states that are attended to, at least 1
    :param mode: ``"residual"`` adds the attention to the gates of an LSTM, ``"layer"`` feeds it to them with the rest
    :param positions: how age enters: ``"bias"`` (learned score per head and age), ``"sinusoid"`` (features of the
        paper), ``"none"``
    :param kv_activation: ELU and norm on keys and values
    :param norm: ``"layer"`` (keys, values and attention), ``"batch"`` (the paper's, of cell and hidden state too;
        couples rows in training, unfit for PPO) or ``"none"``
    :param residual: add the input of each layer to its output (needs ``input_size == hidden_size``)
    :param horizon: steps that the task needs to remember: forget and input gates start with half-lives from 2 steps to
        as many (:mod:`rl_larnn.memories.horizon`); None: with forget bias 1
    :param attention_scale: gain of the norm behind the attention, at the start, with ``norm="layer"``: at 0 an LSTM
        that learns to look back, at 1 the attention counts as much as the hidden state from the first step on
    :param bounded: read cells through tanh in the place of ELU, so that outputs stay within 1; for episodes of hundreds
        of steps
    :raises ValueError: for an option out of range, with the nearest valid one
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int = 64,
        layers: int = 1,
        heads: int = 4,
        window: int = 16,
        mode: Mode = "residual",
        positions: Positions = "bias",
        kv_activation: bool = True,
        norm: Norm = "layer",
        residual: bool = False,
        horizon: int | None = None,
        attention_scale: float = ATTENTION_SCALE,
        bounded: bool = False,
    ) -> None:
        check_choice("mode", mode, ("residual", "layer"))
        check_choice("positions", positions, ("bias", "sinusoid", "none"))
        check_choice("norm", norm, ("layer", "batch", "none"))
        if window < 1:
            raise ValueError(f"window must be at least 1, got {window}")
        if residual and input_size != hidden_size:
            raise ValueError(
                f"residual stacking adds inputs to outputs, so hidden_size must equal the {input_size} inputs, "
                f"got {hidden_size}; set hidden_size={input_size} or residual=False"
            )
        sizes = layer_sizes(input_size, hidden_size, layers)
        if norm != "layer" and attention_scale != ATTENTION_SCALE:
            raise ValueError(f"attention_scale is the gain of norm='layer': leave it out with norm={norm!r}")
        cells = [
            LarnnLayer(*size, window, heads, mode, positions, kv_activation, norm, horizon, attention_scale, bounded)
            for size in sizes
        ]
        super().__init__(cells, residual)

"""The Transformer, beyond the laws of all memories: its formulas, what it sees, and its two ways to scan.

Letters: T time, B batch rows, C context, P parts of a step, E features, A heads.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_cases import HIDDEN, INPUTS, ROWS, Case, Sequence, assert_same, run_with_gradients, sequence, start_flags
from torch import Tensor, nn

from rl_larnn.memories import Memory, Transformer, transformer
from rl_larnn.memories.transformer_layer import causal_mask
from rl_larnn.state import State

OPTIONS: list[dict[str, Any]] = [
    {"context": 4},
    {"context": 6, "layers": 3, "heads": 2},
    {"context": 3, "layers": 1},
    {"context": 4, "tokens": (2, 1, 2)},
]

every_kind = pytest.mark.parametrize("options", OPTIONS, ids=str)


def build(**options: Any) -> Transformer:
    """With random parameters, in double precision."""
    memory = Case("transformer", options).build()
    assert isinstance(memory, Transformer)
    return memory


def no_starts(steps: int, rows: int = ROWS) -> Tensor:
    return torch.zeros(steps, rows, dtype=torch.bool)


def read(memory: Memory, xs: Tensor) -> Tensor:
    """Outputs ``(T, B, E)`` from an empty memory."""
    return memory.scan(xs, memory.initial_state(xs.shape[1]), no_starts(*xs.shape[:2]))[0]


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# --- The numbers


def normed(norm: nn.LayerNorm, x: Tensor) -> Tensor:
    centred = x - x.mean()
    return centred / (centred.square().mean() + 1e-5).sqrt() * norm.weight + norm.bias


def gelu(x: Tensor) -> Tensor:
    return x / 2 * (1 + torch.erf(x / math.sqrt(2)))


def plainly(memory: Transformer, window: Tensor) -> Tensor:
    """The output for the newest of the inputs ``(steps, I)``, one token and one head after the other."""
    parts = len(memory.tokens)
    xs = [
        embedding.weight @ part + embedding.bias
        for step in window
        for part, embedding in zip(step.split(memory.tokens), memory.embeddings, strict=True)
    ]
    for layer in memory.layers:
        weights = layer.projection.weight.chunk(3)
        queries, keys, values = ([w @ normed(layer.attention_norm, x) for x in xs] for w in weights)
        after = []
        for t, x in enumerate(xs):
            heads = []
            for head, own in enumerate(torch.arange(HIDDEN).chunk(layer.heads)):
                scores = [
                    queries[t][own] @ keys[s][own] / math.sqrt(len(own)) + layer.age_bias[head, t // parts - s // parts]
                    for s in range(t + 1)
                ]
                shares = torch.stack(scores).softmax(0)
                heads.append(sum(share * value[own] for share, value in zip(shares, values[: t + 1], strict=True)))
            x = x + layer.output(torch.cat(heads))  # type: ignore[arg-type]
            rise, _, fall = layer.feed_forward
            after.append(x + fall(gelu(rise(normed(layer.forward_norm, x)))))
        xs = after
    return normed(memory.norm, xs[-1])


@every_kind
@torch.no_grad()
def test_outputs_are_those_of_the_formulas(options: dict[str, Any]) -> None:
    memory, steps = build(**options), 9
    xs, starts = random(steps, 2, INPUTS), no_starts(steps, 2)
    starts[5, 0] = True
    outputs, _ = memory.scan(xs, memory.initial_state(2), starts)
    for row, opened in enumerate((5, 0)):
        for t in range(steps):
            begin = max(t - memory.context + 1, opened if t >= opened else 0)
            expected = plainly(memory, xs[begin : t + 1, row])
            torch.testing.assert_close(outputs[t, row], expected, rtol=1e-10, atol=1e-10)


def test_untrained_heads_tell_order_and_differ() -> None:
    torch.manual_seed(0)
    memory = Transformer(INPUTS, layers=1).double()
    bias = memory.layers[0].age_bias
    torch.testing.assert_close(bias[:, 3], -torch.tensor([3.0, 2.0, 1.0, 0.0], dtype=torch.float64), atol=1e-6, rtol=0)
    xs = random(3, 1, INPUTS)
    assert (read(memory, xs)[-1] - read(memory, xs[[1, 0, 2]])[-1]).abs().max() > 1e-3


# --- What it sees


@pytest.mark.parametrize("parts", [1, 3])
def test_the_attention_mask_is_that_of_a_plain_loop(parts: int) -> None:
    first = torch.tensor([[0, 0, 0, 0], [0, 1, 1, 3], [2, 2, 2, 2], [9, 9, 9, -5]])
    allowed, ages = causal_mask(first.double(), parts, context=3)
    assert allowed.shape == (4, 1, 4 * parts, 4 * parts) and ages.shape == (4 * parts, 4 * parts)
    for q in range(4 * parts):
        for k in range(4 * parts):
            step, other = q // parts, k // parts
            seen = [q == k or (k < q and other >= own) for own in first[:, step].tolist()]
            assert allowed[:, 0, q, k].tolist() == seen
            assert ages[q, k] == min(max(step - other, 0), 2)


@pytest.mark.parametrize(("context", "layers"), [(1, 3), (2, 1), (5, 3)])
def test_the_last_steps_are_seen_and_nothing_before_them(context: int, layers: int) -> None:
    memory, steps = build(context=context, layers=layers), 4 * context + 2
    xs, changed_at = random(steps, ROWS, INPUTS), context + 1
    changed = xs.clone()
    changed[changed_at] += 1
    moved = (read(memory, changed) - read(memory, xs)).abs().amax(dim=-1)
    seen = slice(changed_at, changed_at + context)
    assert (moved[seen] > 1e-6).all()
    moved[seen] = 0
    torch.testing.assert_close(moved, torch.zeros_like(moved), rtol=0, atol=1e-13)


def test_every_part_of_a_step_is_seen() -> None:
    memory = build(context=3, tokens=(2, 1, 2))
    xs = random(5, 1, INPUTS).requires_grad_()
    (gradient,) = torch.autograd.grad(read(memory, xs)[-1].square().sum(), xs)
    assert gradient[:2].abs().max() < 1e-13
    assert (gradient[2:].abs() > 1e-9).all()


# --- Its tokens


def test_one_token_per_step_is_the_default() -> None:
    whole, one = build(context=4), build(context=4, tokens=[INPUTS])
    xs = random(9, ROWS, INPUTS)
    assert torch.equal(read(whole, xs), read(one, xs))


def test_tokens_of_a_step_are_read_like_steps() -> None:
    """Where age does not matter, P tokens of a step are P steps, each with a note of which part it is."""
    sizes, context = (2, 1, 2), 4
    split = build(context=context, tokens=sizes)
    plain = Transformer(INPUTS + len(sizes), HIDDEN, context=context * len(sizes)).double()
    with torch.no_grad():
        for layer in split.layers:
            layer.age_bias.zero_()
        for layer, own in zip(plain.layers, split.layers, strict=True):
            layer.load_state_dict({**own.state_dict(), "age_bias": torch.zeros_like(layer.age_bias)})
        plain.norm.load_state_dict(split.norm.state_dict())
        (embedding,) = plain.embeddings
        embedding.bias.zero_()
        weights, biases = ([getattr(each, name) for each in split.embeddings] for name in ("weight", "bias"))
        embedding.weight.copy_(torch.cat([*weights, torch.stack(biases, dim=1)], dim=1))
        xs = random(10, ROWS, INPUTS)
        # (T, B, P, I): each part in its place, zeros elsewhere; beside it which one it is.
        alone = torch.block_diag(*(torch.ones(1, size) for size in sizes)) * xs.unsqueeze(2)
        noted = torch.cat([alone, torch.eye(len(sizes), dtype=torch.float64).expand(10, ROWS, -1, -1)], dim=-1)
        short = read(plain, noted.transpose(1, 2).flatten(0, 1))
        torch.testing.assert_close(read(split, xs), short[len(sizes) - 1 :: len(sizes)], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("tokens", "nearest"),
    [
        ((2, 2), "; nearest valid tokens: (2, 3)"),
        ([1, 3, 2], "; nearest valid tokens: (1, 3, 1)"),
        ((5, 1), ""),
        ((7, -2), ""),
        ((2.0, 3.0), ""),
        ((), ""),
    ],
)
def test_tokens_sum_to_the_inputs(tokens: Any, nearest: str) -> None:
    with pytest.raises(ValueError) as caught:
        Transformer(5, 8, tokens=tokens)
    expected = f"tokens must be positive sizes that sum to the 5 inputs, got {tuple(tokens)}{nearest}"
    assert str(caught.value) == expected


# --- One pass, or a window per step


def assert_same_with_gradients(memory: Memory, data: Sequence, *runs: Any) -> None:
    """All runs give the values and the gradients of the first."""
    (expected, gradients), *others = (run_with_gradients(memory, run, data) for run in runs)
    for found, found_gradients in others:
        assert_same(found, expected)
        for left, right in zip(found_gradients, gradients, strict=True):
            torch.testing.assert_close(left, right, rtol=1e-8, atol=1e-8)


def by_windows(memory: Transformer, xs: Tensor, state: State, starts: Tensor) -> tuple[Tensor, State]:
    """A scan that always reads a window per step."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Transformer, "_fits", lambda *arguments: False)
        return memory.scan(xs, state, starts)


@every_kind
def test_one_pass_or_windows_or_steps_are_the_same(options: dict[str, Any]) -> None:
    memory = build(**options)
    context = memory.context

    @settings(max_examples=2)
    @given(data=st.data(), carried=st.integers(0, context))
    def law(steps: int, data: st.DataObject, carried: int) -> None:
        drawn = sequence(memory, data.draw(start_flags(steps)))
        state = memory.initial_state(ROWS)
        for x in drawn.xs[-1:].expand(carried, -1, -1):
            state = memory.step(x, state)[1]
        runs = partial(Memory.scan, memory), memory.scan, partial(by_windows, memory)
        assert_same_with_gradients(memory, drawn._replace(state=state), *runs)
        assert_same_with_gradients(memory, drawn, *runs)

    for steps in (1, context - 1, context, context + 1, 3 * context):
        law(steps)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("carried", "steps", "start", "fits"),
    [(0, 5, None, True), (2, 3, None, True), (3, 3, None, False), (9, 2, None, False), (9, 5, 0, True),
     (2, 5, 3, True), (3, 5, 3, False), (9, 5, 1, True), (9, 5, 2, False), (0, 6, None, False), (4, 1, None, False)],
)  # fmt: skip
def test_one_pass_is_taken_where_no_window_cuts_an_episode(
    carried: int, steps: int, start: int | None, fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a context of five; one step by itself is one window."""
    taken = []
    for name in ("_read_at_once", "_read_windows"):
        way = getattr(Transformer, name)
        monkeypatch.setattr(Transformer, name, lambda *args, name=name, way=way: (taken.append(name), way(*args))[1])
    memory, starts = build(context=5), no_starts(steps, 1)
    state = memory.initial_state(1)
    for x in random(carried, 1, INPUTS):
        state = memory.step(x, state)[1]
    if start is not None:
        starts[start] = True
    taken.clear()
    memory.scan(random(steps, 1, INPUTS), state, starts)
    assert taken == ["_read_at_once" if fits else "_read_windows"]


@pytest.mark.parametrize(
    ("options", "windows"), [(OPTIONS[2], 1), (OPTIONS[1], 2 * ROWS), (OPTIONS[3], 2 * ROWS), (OPTIONS[0], 7 * ROWS)]
)
def test_slices_change_nothing(options: dict[str, Any], windows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slices of one step, of fewer steps than the context has, and of more."""
    memory, steps = build(**options), 23
    numbers = memory.context * len(memory.tokens) * memory.output_size  # of one window
    starts = no_starts(steps)
    starts[9, 0] = starts[14] = True
    data = sequence(memory, starts)
    lengths = []
    one = Transformer._read_slice

    def watched(memory: Transformer, begin: Tensor, *pieces: Tensor) -> Tensor:
        lengths.append(len(begin))
        return one(memory, begin, *pieces)

    def sliced(*arguments: Any) -> tuple[Tensor, State]:
        monkeypatch.setattr(transformer, "SLICE", windows * numbers)
        monkeypatch.setattr(Transformer, "_read_slice", watched)
        return memory.scan(*arguments)

    assert_same_with_gradients(memory, data, memory.scan, sliced)
    length = max(1, windows // ROWS)
    forward = math.ceil(steps / length)
    assert lengths[:forward] == [min(length, steps - at) for at in range(0, steps, length)]
    assert len(lengths) == 2 * forward, "each slice is read again for its gradients"


def test_memory_for_gradients_does_not_grow_with_the_context(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that are kept for the gradients, per step and row."""

    def kept(context: int, sliced: bool) -> float:
        memory, steps = build(context=context), 200
        windows = 10 if sliced else steps
        monkeypatch.setattr(transformer, "SLICE", windows * ROWS * context * memory.output_size)
        storages = {}

        def seen(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            storages[storage.data_ptr()] = storage
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(seen, lambda tensor: tensor):
            read(memory, random(steps, ROWS, INPUTS))
        return sum(storage.nbytes() for storage in storages.values()) / (steps * ROWS)

    assert kept(32, sliced=True) < 1.5 * kept(4, sliced=True)
    assert kept(32, sliced=False) > 10 * kept(32, sliced=True)

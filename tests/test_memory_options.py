"""Options of memories: wrong ones get one line with what was expected, what came and the nearest valid value."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rl_larnn.memories import (
    MEMORIES,
    Aaren,
    Larnn,
    Lstm,
    Memory,
    NoMemory,
    Transformer,
    build_memory,
    find_memory,
    memory_options,
    register_memory,
)
from rl_larnn.memories.lstm import LstmLayer
from rl_larnn.memories.stack import Stack


def message(error: type[Exception], make: Any, *arguments: Any, **options: Any) -> str:
    """The one line of the error that ``make(...)`` raises."""
    with pytest.raises(error) as caught:
        make(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "size, heads, nearest",
    [(64, 7, "2, 4, 8"), (64, 0, "1, 2, 4"), (64, -2, "1, 2, 4"), (12, 5, "3, 4, 6"), (7, 100, "1, 7")],
)
def test_heads_that_do_not_divide_name_the_nearest_that_do(size: int, heads: int, nearest: str) -> None:
    for memory in (Larnn, Aaren, Transformer):
        text = message(ValueError, memory, 3, size, heads=heads)
        assert text.startswith(f"heads must divide hidden_size: {size} is not a multiple of {heads}")
        assert text.rpartition(": ")[2] == nearest


@pytest.mark.parametrize(
    "memory, option, value, nearest",
    [
        (Larnn, "mode", "residul", "residual"),
        (Larnn, "positions", "sinus", "sinusoid"),
        (Larnn, "norm", "Batch", "batch"),
        (Aaren, "recency", "decays", "decay"),
    ],
)
def test_an_unknown_choice_names_the_nearest(memory: type[Memory], option: str, value: str, nearest: str) -> None:
    text = message(ValueError, memory, 3, **{option: value})
    assert text.startswith(f"{option} must be one of ")
    assert text.endswith(f", got {value!r}; did you mean {nearest!r}?")


def test_an_unknown_choice_that_resembles_none_gets_no_suggestion() -> None:
    assert message(ValueError, Larnn, 3, norm="qqqq") == "norm must be one of 'layer', 'batch', 'none', got 'qqqq'"


def test_a_window_has_at_least_one_step() -> None:
    assert message(ValueError, Larnn, 3, window=0) == "window must be at least 1, got 0"
    assert message(ValueError, Transformer, 5, context=-3) == "context must be at least 1, got -3"


def test_attention_scale_needs_the_layer_norm() -> None:
    expected = "attention_scale is the gain of norm='layer': leave it out with norm='none'"
    assert message(ValueError, Larnn, 3, norm="none", attention_scale=0.0) == expected


def test_there_is_at_least_one_layer() -> None:
    for name in (name for name in MEMORIES if "layers" in memory_options(name)):
        assert message(ValueError, MEMORIES[name], 3, layers=0) == "layers must be at least 1, got 0"


def test_residual_stacking_needs_equal_sizes() -> None:
    text = message(ValueError, Larnn, 3, 8, residual=True)
    assert "hidden_size must equal the 3 inputs, got 8" in text
    assert "hidden_size=3" in text and "residual=False" in text
    Larnn(8, 8, residual=True)


def test_layers_of_different_widths_are_refused() -> None:
    text = message(ValueError, Stack, [LstmLayer(3, 8), LstmLayer(7, 8)])
    assert text == "a layer with 8 outputs cannot feed one with 7 inputs"


def test_memories_are_found_by_name_and_by_class() -> None:
    class Mine(NoMemory):
        pass

    assert [find_memory(name) for name in MEMORIES] == list(MEMORIES.values())
    assert find_memory(Mine) is Mine


@pytest.mark.parametrize("name, nearest", [("larn", "larnn"), ("LSTM", "lstm")])
def test_an_unknown_name_gets_the_nearest(name: str, nearest: str) -> None:
    text = message(ValueError, find_memory, name)
    assert text.startswith(f"unknown memory {name!r}; did you mean {nearest}")


@pytest.mark.parametrize("wrong, came", [(None, "an object of type NoneType"), (dict, "the class dict")])
def test_other_types_are_no_memory(wrong: object, came: str) -> None:
    text = message(TypeError, find_memory, wrong)
    assert text.startswith("memory must be a name (none, ")
    assert text.endswith(f"or a subclass of Memory, got {came}")


@pytest.mark.parametrize("name", MEMORIES)
def test_a_memory_is_built_from_its_name_and_options(name: str) -> None:
    """Sizes may be numpy's; they become Python's."""
    assert memory_options(name)[0] == "hidden_size"
    memory = build_memory(name, np.int64(3), {"hidden_size": np.int64(8)})
    assert type(memory) is MEMORIES[name]
    assert (memory.input_size, memory.output_size) == (3, 8)
    assert type(memory.input_size) is type(memory.output_size) is int


def test_an_unknown_option_names_the_nearest() -> None:
    text = message(ValueError, build_memory, "aaren", 3, {"head": 2})
    assert text.startswith("memory 'aaren' has no option 'head'; did you mean heads? (it has hidden_size, layers, ")
    assert "did you mean" not in message(ValueError, build_memory, "aaren", 3, {"qqqq": 2})


def test_a_registered_memory_is_found_and_no_name_is_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    class Mine(NoMemory):
        pass

    monkeypatch.setattr("rl_larnn.memories.MEMORIES", table := dict(MEMORIES))
    register_memory("mine", Mine)
    register_memory("mine", Mine)  # twice is fine: a notebook cell is run again
    assert find_memory("mine") is Mine
    assert message(ValueError, register_memory, "lstm", Mine) == "the name 'lstm' belongs to Lstm; choose another"
    message(TypeError, register_memory, "other", dict)
    assert set(table) == {*MEMORIES, "mine"}
    assert table["lstm"] is Lstm


def test_hidden_size_is_at_least_one() -> None:
    for name in MEMORIES:
        with pytest.raises(ValueError, match="hidden_size must be at least 1, got 0"):
            MEMORIES[name](6, hidden_size=0)  # type: ignore[call-arg]

"""The native kernels against the loops they replace, and what happens where they cannot be had.

Letters: T time, B batch rows, H hidden.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from memory_cases import (
    CASES,
    ROWS,
    Case,
    Sequence,
    assert_same,
    run_with_gradients,
    sequence,
    start_flags,
    state_like,
)
from torch import Tensor

from rl_larnn import native
from rl_larnn.memories import MEMORIES, Memory
from rl_larnn.native import build
from rl_larnn.native.build import BuildError, cache_folder, load

needs_kernels = pytest.mark.skipif(not native.usable(torch.zeros(1), "lstm"), reason="no C++ compiler")

#: Sizes that fill no vector, several groups of rows, head widths with and without a loop of their own.
SIZES = [(1, 81, 3), (17, 20, 4), (40, 64, 4), (5, 72, 1)]

#: Memories with a kernel of their own. The others have one way to scan, which is held to the laws.
KERNEL_CASES = [case for case in CASES if case.memory in ("lstm", "gru", "larnn", "aaren")]


@pytest.fixture
def without_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "usable", lambda like, kernel: False)


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@needs_kernels
@pytest.mark.parametrize(
    ("name", "switches"),
    [
        ("lstm", {}),
        ("gru", {}),
        ("larnn", {}),
        ("aaren", {}),
        ("aaren", {"recency": "gate", "clock": True, "gate": True}),
    ],
    ids=["lstm", "gru", "larnn", "aaren", "aaren-switches"],
)
def test_any_size_and_several_threads(name: str, switches: dict[str, Any], threads: None) -> None:
    for rows, hidden, heads in SIZES:
        options = {"heads": heads, **switches} if name in ("larnn", "aaren") else {}
        torch.manual_seed(3)
        memory = MEMORIES[name](5, hidden, **options).double()
        starts = torch.rand(70, rows, generator=torch.Generator().manual_seed(rows)) < 0.1
        assert_scan_is_the_loop(memory, sequence(memory, starts), 1e-9)


def assert_scan_is_the_loop(memory: Memory, data: Sequence, tolerance: float) -> None:
    """Same outputs, final state and gradients from the memory's own scan and from the loop over steps."""
    found, found_gradients = run_with_gradients(memory, memory.scan, data)
    expected, expected_gradients = run_with_gradients(memory, partial(Memory.scan, memory), data)
    assert_same(found, expected, tolerance)
    for left, right in zip(found_gradients, expected_gradients, strict=True):
        torch.testing.assert_close(left, right, rtol=tolerance, atol=tolerance)


@needs_kernels
def test_any_number_of_rows() -> None:
    """The matrix product takes eight rows at a time and has a tile for each rest."""
    for rows in range(1, 18):
        torch.manual_seed(rows)
        memory = MEMORIES["lstm"](3, 5).double()
        data = sequence(memory, torch.rand(4, rows) < 0.2)
        with torch.no_grad():
            assert_same(memory.scan(*data), Memory.scan(memory, *data), 1e-9)


@needs_kernels
@pytest.mark.parametrize("case", KERNEL_CASES, ids=str)
def test_gates_far_in_saturation(case: Case) -> None:
    """Inputs so large that a careless exponential overflows."""
    memory = case.build()
    data = sequence(memory, torch.zeros(9, 3, dtype=torch.bool))
    data = data._replace(xs=data.xs * 1e3)
    with torch.no_grad():
        assert_same(memory.scan(*data), Memory.scan(memory, *data), 1e-9)


@pytest.mark.parametrize("case", KERNEL_CASES, ids=str)
def test_the_torch_forms_are_the_loop_too(case: Case, without_kernels: None) -> None:
    memory = case.build()

    @settings(max_examples=2)
    @given(starts=start_flags(70))
    def law(starts: Tensor) -> None:
        assert_scan_is_the_loop(memory, sequence(memory, starts), 1e-8)

    law()


@pytest.mark.parametrize("case", KERNEL_CASES, ids=str)
def test_the_torch_forms_keep_nan_from_behind_a_start(case: Case, without_kernels: None) -> None:
    memory = case.build()
    data = sequence(memory, torch.zeros(9, ROWS, dtype=torch.bool))
    spoilt = state_like(memory, ROWS, float("nan"))
    data.starts[4] = True
    with torch.no_grad():
        outputs, after = memory.scan(data.xs.index_fill(0, torch.arange(4), float("nan")), spoilt, data.starts)
        assert_same((outputs[4:], after), memory.scan(data.xs[4:], memory.initial_state(ROWS), data.starts[4:]))
    data.starts[0] = True
    gradients = run_with_gradients(memory, memory.scan, data._replace(state=spoilt))[1]
    for found, expected in zip(gradients, run_with_gradients(memory, memory.scan, data)[1], strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8)


@needs_kernels
def test_strides_are_refused() -> None:
    with pytest.raises(ValueError, match="lstm_forward must be contiguous"):
        native.run("lstm_forward", (torch.zeros(4, 4).t(),))


@needs_kernels
def test_the_compiled_file_is_kept_and_used_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RL_LARNN_CACHE", str(tmp_path))
    monkeypatch.setattr(build, "_compile", _pretend(calls := []))
    for _ in range(2):
        with pytest.raises(BuildError, match="could not be loaded"):  # what was written is no library
            load("float")
    assert len(calls) == 1
    assert [path.suffix for path in tmp_path.iterdir()] == [".so"]


def _pretend(calls: list[Path]) -> Any:
    def compile_nothing(compiler: str, flags: tuple[str, ...], library: Path) -> None:
        calls.append(library)
        library.write_text("nothing")

    return compile_nothing


def test_without_a_compiler_there_is_one_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    with fresh_library(), pytest.warns(UserWarning, match=r"no C\+\+ compiler .* plain torch"):
        assert native.library(torch.float32) is None
        assert not native.usable(torch.zeros(1), "lstm")


def test_a_compiler_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RL_LARNN_CACHE", str(tmp_path))
    broken = tmp_path / "c++"
    broken.write_text("#!/bin/sh\necho 'error: out of order' >&2; exit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CXX", str(broken))
    with pytest.raises(BuildError, match="failed: error: out of order"):
        load("float")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RL_LARNN_CACHE", str(tmp_path / "file" / "below"))
    monkeypatch.setattr("shutil.which", lambda name: "/bin/true")
    monkeypatch.setattr(build, "_run", lambda *command: "")
    with pytest.raises(BuildError, match="nothing can be written to"):
        load("float")


def test_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RL_LARNN_NATIVE", "0")
    with fresh_library(), warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not native.usable(torch.zeros(1), "lstm")


def test_other_dtypes_go_to_torch() -> None:
    for dtype in (torch.float16, torch.bfloat16, torch.int64):
        assert not native.usable(torch.zeros(1, dtype=dtype), "lstm")


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RL_LARNN_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder() == Path("/somewhere/rl_larnn")


class fresh_library:
    """Forget which library was loaded, inside; and what was found inside, after it."""

    def __enter__(self) -> None:
        native.library.cache_clear()

    def __exit__(self, *error: object) -> None:
        native.library.cache_clear()

"""Compiling the kernels: the cache of compiled files, and what happens where they cannot be compiled."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from rl_larnn import native
from rl_larnn.native import build
from rl_larnn.native.build import BuildError, cache_folder, load


@pytest.mark.skipif(not native.usable(torch.zeros(1), "lstm"), reason="no C++ compiler")
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


def test_kernels_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RL_LARNN_NATIVE", "0")
    with fresh_library(), warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not native.usable(torch.zeros(1), "lstm")


def test_other_dtypes_go_to_torch() -> None:
    for dtype in (torch.float16, torch.bfloat16, torch.int64):
        assert not native.usable(torch.zeros(1, dtype=dtype), "lstm")


def test_the_cache_folder_follows_xdg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RL_LARNN_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder() == Path("/somewhere/rl_larnn")


class fresh_library:
    """Forget which library was loaded, inside; and what was found inside, after it."""

    def __enter__(self) -> None:
        native.library.cache_clear()

    def __exit__(self, *error: object) -> None:
        native.library.cache_clear()

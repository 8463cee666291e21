"""Compile the kernels once per machine, with the C++ compiler found there, and keep the result in the user's cache."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCES = Path(__file__).parent

#: No -ffast-math: the exponential function relies on exact rounding, and NaN must stay NaN.
FLAGS = (
    *("-std=c++17", "-O3", "-march=native", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math"),
    *("-fopenmp-simd", "-fPIC", "-shared", "-pthread"),
)


class BuildError(Exception):
    """The kernels could not be compiled; the message says why in one line."""


def load(scalar: str) -> ctypes.CDLL:
    """The compiled kernels of one precision: from the cache, else compiled now (some twenty seconds).

    :param scalar: ``float`` or ``double``
    :raises BuildError: without a compiler, or if it fails
    """
    compiler, flags, library = _plan(scalar)
    if not library.exists():
        _compile(compiler, flags, library)
    try:
        return ctypes.CDLL(str(library))
    except OSError as error:
        raise BuildError(f"{library} could not be loaded: {error}") from error


def needs_compiling(scalar: str) -> bool:
    """Whether :func:`load` would have to compile first."""
    try:
        return not _plan(scalar)[2].exists()
    except BuildError:
        return False


def _plan(scalar: str) -> tuple[str, tuple[str, ...], Path]:
    """The compiler, its flags, and the file in the cache.

    The file's name holds a hash of the sources, the flags, the compiler and the processor's features, so that a new
    version, another compiler or another machine with the same home never loads a stale file.
    """
    compiler = next(filter(None, map(shutil.which, (os.environ.get("CXX") or "c++", "g++", "clang++"))), None)
    if compiler is None or sys.platform == "win32":
        raise BuildError("no C++ compiler (c++, g++, clang++) was found")
    flags = (*FLAGS, f"-DSCALAR={scalar}")
    # The compiler's predefined macros: they name its version and what -march=native stands for on this machine.
    target = _run(compiler, "-march=native", "-dM", "-E", "-x", "c++", os.devnull)
    digest = hashlib.sha256("\0".join([*flags, target]).encode())
    for path in sorted(SOURCES.glob("*.[ch]*")):
        digest.update(path.name.encode() + path.read_bytes())
    return compiler, flags, cache_folder() / f"kernels-{scalar}-{digest.hexdigest()[:16]}.so"


def cache_folder() -> Path:
    """``$RL_LARNN_CACHE``, else ``rl_larnn`` in the user's cache folder."""
    if named := os.environ.get("RL_LARNN_CACHE"):
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / (
        "Library/Caches" if sys.platform == "darwin" else ".cache"
    )
    return Path(base) / "rl_larnn"


def _compile(compiler: str, flags: tuple[str, ...], library: Path) -> None:
    """Compile to a temporary file and rename it: of several processes at once, the last one's file stays."""
    try:
        library.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=library.parent) as folder:
            fresh = Path(folder) / library.name
            _run(compiler, *flags, str(SOURCES / "kernels.cpp"), "-o", str(fresh))
            fresh.replace(library)
    except OSError as error:
        raise BuildError(f"nothing can be written to {library.parent}: {error.strerror}") from error


def _run(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout
    except subprocess.CalledProcessError as error:
        lines = [line for line in error.stderr.splitlines() if "error" in line] or ["no message"]
        raise BuildError(f"{command[0]} failed: {lines[0]}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BuildError(f"{command[0]} did not run: {error}") from error

"""The provenance of results: the revision of the code and the machine."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

import torch

import rl_larnn


def origin() -> dict[str, str]:
    """``git_revision`` (empty outside a checkout, with the suffix ``-dirty`` for changed files) and ``machine``."""
    threads = torch.get_num_threads()
    return {"git_revision": _revision(), "machine": f"{processor()}, {os.cpu_count()} cores, {threads} threads"}


def processor() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _revision() -> str:
    source = Path(rl_larnn.__file__).parents[1]
    # Without this check, an installed copy would report the repository around its environment, if any.
    if not (source / "agents" / "runs" / "provenance.py").exists():
        return ""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        return subprocess.check_output(command, cwd=source, stderr=subprocess.DEVNULL, text=True, timeout=10).strip()
    except (OSError, subprocess.SubprocessError):
        return ""

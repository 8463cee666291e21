"""The machine, made ready for a training: torch's threads, and the kernels that are compiled on first use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from rl_larnn import native
from rl_larnn.agents.reporting.reporter import Reporter


@contextmanager
def threads(number: int) -> Iterator[None]:
    """So many threads of torch inside, as many as before outside."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def compile_kernels(device: torch.device, reporter: Reporter) -> None:
    """Have the kernels ready before the clock runs, and say so: the first run on a machine must not seem to hang."""
    if device.type == "cpu" and native.needs_compiling(torch.zeros(0)):
        with reporter.progress() as bar:
            bar.note("compiling the kernels for this machine, once: some 20 s")
            native.library(torch.float32)

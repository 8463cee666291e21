"""The Triton kernels: by their interpreter where there is no GPU, else on the GPU.

Letters: T time, B batch rows, A heads, D head width.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from memory_cases import start_flags
from torch import Tensor

from rl_larnn import native
from rl_larnn.scan import AverageState, average_scan

pytest.importorskip("triton", reason="Triton comes with CUDA builds of PyTorch, and with the extra dev on Linux")

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
DTYPE = torch.float32 if DEVICE == "cuda" else torch.float64
TOLERANCE = 1e-4 if DEVICE == "cuda" else 1e-9


@pytest.fixture
def on_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    from rl_larnn.native import gpu

    monkeypatch.setattr(native, "usable", lambda like, kernel: kernel == "average")
    monkeypatch.setattr(native, "run", gpu.run)


def outputs_and_gradients(starts: Tensor, width: int, used: bool, every_step: bool) -> list[Tensor]:
    """Averages, clock, last state and all gradients.

    :param used: with a state before the sequence that is not empty
    :param every_step: another decay at each token
    """
    generator = torch.Generator().manual_seed(4)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(DEVICE, DTYPE)

    (steps, rows), heads = starts.shape, 3
    inputs = [
        3 * draw(steps, rows, heads),
        draw(steps, rows, heads, width),
        draw(steps, rows, heads) if every_step else draw(heads).abs(),
    ]
    state = [draw(rows, heads), draw(rows, heads).abs() * used, draw(rows, heads, width) * used]
    for tensor in (*inputs, *state):
        tensor.requires_grad_()
    averages, last = average_scan(*inputs, AverageState(*state), starts.to(DEVICE), clock=True)  # type: ignore[misc]
    results: list[Any] = [averages, last.denominator, last.numerator]
    loss = sum((result * draw(*result.shape)).sum() for result in results)
    return [*results, last.maximum, *torch.autograd.grad(loss, [*inputs, *state])]


# Triton's interpreter takes seconds for each: by default each value once or twice, all combinations with the slow ones.
_SHORT = [(1, True, True), (5, True, False), (5, False, True), (16, False, False)]
_ALL = [(width, used, every_step) for width in (1, 5, 16) for used in (True, False) for every_step in (True, False)]
COMBINATIONS = [one if one in _SHORT else pytest.param(*one, marks=pytest.mark.slow) for one in _ALL]


@pytest.mark.parametrize("width, used, every_step", COMBINATIONS)
def test_the_average_is_that_of_torch(on_gpu: None, width: int, used: bool, every_step: bool) -> None:
    with pytest.MonkeyPatch.context() as torch_only:
        torch_only.setattr(native, "usable", lambda like, kernel: False)
        flags: list[Tensor] = []
        expected = []

        @settings(max_examples=2)
        @given(starts=start_flags(11, 2))
        def collect(starts: Tensor) -> None:
            flags.append(starts)
            expected.append(outputs_and_gradients(starts, width, used, every_step))

        collect()
    for starts, right in zip(flags, expected, strict=True):
        for left, other in zip(outputs_and_gradients(starts, width, used, every_step), right, strict=True):
            torch.testing.assert_close(left, other, rtol=TOLERANCE, atol=TOLERANCE)

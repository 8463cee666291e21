"""Our Adam and our clipping against torch's."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rl_larnn.optimizer import Adam, clip_gradients

SHAPES = [(3,), (17, 5), (1, 1), (64, 64), ()]


def parameters() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64)) for shape in SHAPES]


def give_gradients(tensors: list[nn.Parameter], step: int, missing: bool = False) -> None:
    generator = torch.Generator().manual_seed(step)
    for index, tensor in enumerate(tensors):
        gradient = torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
        tensor.grad = None if missing and (index + step) % 3 == 0 else gradient * 10.0 ** (step % 5 - 3)


def assert_equal(ours: list[Any], theirs: list[Any]) -> None:
    for left, right in zip(ours, theirs, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("options", [{}, {"betas": (0.5, 0.9), "eps": 1e-3}, {"weight_decay": 0.1}, {"amsgrad": True}])
def test_steps_equal_torch(options: dict[str, Any]) -> None:
    ours, theirs = parameters(), parameters()
    mine, reference = Adam(ours, lr=0.1, **options), torch.optim.Adam(theirs, lr=0.1, **options)
    for step in range(24):
        for tensors, optimizer in ((ours, mine), (theirs, reference)):
            give_gradients(tensors, step, missing=step >= 12)
            optimizer.param_groups[0]["lr"] = 0.1 / (1 + step)
            optimizer.step()
    assert_equal(ours, theirs)


@pytest.mark.parametrize("fused", [False, True])
def test_state_dicts_are_interchangeable_with_torch(fused: bool) -> None:
    tensors = parameters()
    first: torch.optim.Optimizer = torch.optim.Adam(tensors, lr=0.1, fused=fused)
    expected = parameters()
    reference = torch.optim.Adam(expected, lr=0.1)
    for step, kind in enumerate([torch.optim.Adam, Adam, torch.optim.Adam, Adam]):
        optimizer = kind(tensors, lr=0.1, fused=fused)
        optimizer.load_state_dict(first.state_dict())
        for each, with_optimizer in ((tensors, optimizer), (expected, reference)):
            give_gradients(each, step)
            with_optimizer.step()
        first = optimizer
    assert_equal(tensors, expected)


def test_a_step_is_seen_by_autograd() -> None:
    """A graph that still needs the old value must not silently use the new one."""
    (weight,) = tensors = [nn.Parameter(torch.ones(3))]
    loss = (weight * weight).sum()
    weight.grad = torch.ones(3)
    Adam(tensors).step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@pytest.mark.parametrize("maximum", [1e-3, 0.5, 1e6])
def test_clipping_equals_torch(maximum: float) -> None:
    ours, theirs = parameters(), parameters()
    for tensors in (ours, theirs):
        give_gradients(tensors, 3, missing=True)
    clip_gradients(ours, maximum)
    nn.utils.clip_grad_norm_(theirs, maximum)
    assert_equal(*([tensor.grad for tensor in tensors if tensor.grad is not None] for tensors in (ours, theirs)))


def test_clipping_without_gradients_does_nothing() -> None:
    clip_gradients(parameters(), 1.0)


def test_strided_gradients_are_left_to_torch() -> None:
    (ours,), (theirs,) = [[nn.Parameter(torch.ones(4, 6))] for _ in range(2)]
    gradient: Tensor = torch.arange(24.0).view(6, 4).t()
    for tensor, kind in ((ours, Adam), (theirs, torch.optim.Adam)):
        tensor.grad = gradient.clone(memory_format=torch.preserve_format)
        clip_gradients([tensor], 1.0)
        kind([tensor], lr=0.1).step()
    assert_equal([ours], [theirs])

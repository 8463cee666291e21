"""Normalised advantages are divided by a minimum at least."""

from __future__ import annotations

import pytest
import torch
from option_cases import agent, collect


@pytest.mark.parametrize("spread", [0.01, 0.5, 3.0])
def test_small_advantages_stay_small(spread: float) -> None:
    """The gradient is that of advantages over the larger of their deviation and the minimum."""
    gradients = []
    for minimum in (0.0, 1.0):
        model = agent(vf_coef=0.0, batch_size=72, min_advantage_std=minimum)
        collect(model)
        (chunks,) = model.rollout_buffer.get(72)
        noise = chunks.advantages.flatten().argsort().argsort().view_as(chunks.advantages).float()
        chunks = chunks._replace(advantages=7 + spread * (noise - noise.mean()) / noise.std())
        loss, _ = model._loss(chunks, 0.2, None)
        gradients.append(torch.autograd.grad(loss, list(model.policy.mlp_extractor.parameters()), allow_unused=True))
    for without, with_minimum in zip(*gradients, strict=True):
        if without is not None:
            torch.testing.assert_close(with_minimum, without * min(spread, 1.0), rtol=1e-3, atol=1e-7)


def test_a_minimum_below_zero_is_named() -> None:
    with pytest.raises(ValueError, match=r"min_advantage_std must be at least 0, got -0\.1"):
        agent(min_advantage_std=-0.1)

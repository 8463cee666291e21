"""The linear readout and its scores."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from rl_larnn.agents.probes.readout import explained, recall, ridge


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_without_noise_a_readout_is_least_squares() -> None:
    features, answers, unseen = 3 * random(50, 4) + 1, random(50, 2, seed=1), random(9, 4, seed=2)
    bordered = np.hstack([features, np.ones((50, 1))])
    expected = np.hstack([unseen, np.ones((9, 1))]) @ np.linalg.lstsq(bordered, answers.numpy())[0]
    np.testing.assert_allclose(ridge(features, answers, noise=0.0)(unseen), expected)


def test_with_noise_a_readout_is_least_squares_on_noisy_copies() -> None:
    features, unseen, copies = random(40, 3), random(9, 3, seed=2), 4000
    answers = features @ random(3, 1, seed=1)
    noise = 0.5 * features.std(0, correction=0) * random(copies, 40, 3, seed=3)
    expected = ridge((features + noise).flatten(0, 1), answers.repeat(copies, 1), noise=0.0)(unseen)
    torch.testing.assert_close(ridge(features, answers, noise=0.5)(unseen), expected, rtol=0.02, atol=0.01)


def test_what_is_fainter_than_the_noise_counts_as_lost() -> None:
    loud, answers = random(500, 1), random(500, 1, seed=1)
    for strength, found in ((1e-1, True), (1e-5, False)):
        features = torch.cat([loud, loud + strength * answers], dim=1)
        assert (explained(ridge(features, answers)(features), answers) > 0.9) == found


def test_a_constant_feature_is_of_no_use() -> None:
    answers = random(100, 1)
    rounding = torch.full((100, 1), 0.7, dtype=torch.float64) + 1e-8 * answers
    predicted = ridge(rounding, answers)(rounding)
    torch.testing.assert_close(predicted, answers.mean().expand(100, 1))


@given(st.floats(-100, 100), st.floats(0.1, 100))
def test_the_scale_of_outputs_does_not_matter(shift: float, scale: float) -> None:
    features, answers, unseen = random(60, 4), random(60, 1, seed=1), random(9, 4, seed=2)
    expected = ridge(features, answers)(unseen)
    torch.testing.assert_close(ridge(scale * features + shift, answers)(scale * unseen + shift), expected)


def test_scores_by_hand() -> None:
    answers = torch.eye(4, dtype=torch.float64)
    predicted = answers.clone()
    assert recall(predicted, answers) == 1.0
    predicted[0] = torch.tensor([0.1, 0.9, 0.0, 0.0])
    assert recall(predicted, answers) == pytest.approx((0.75 - 0.25) / 0.75)
    assert recall(torch.ones(4, 4), answers) == 0.0  # always the first symbol: right once in four
    truth = torch.tensor([[0.0, 10.0], [2.0, 14.0]])
    assert explained(truth, truth) == 1.0
    assert explained(truth.mean(0).expand(2, 2), truth) == 0.0
    halves = torch.tensor([[0.5, 12.0], [1.5, 12.0]])  # errors 0.25 of a variance of 1; all of a variance of 4
    assert explained(halves, truth) == pytest.approx((0.75 + 0.0) / 2)

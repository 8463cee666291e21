"""The best linear readout of answers from a memory's outputs, and how good it is on sequences that it has not seen.

Letters: N examples, F features, K numbers of an answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, mse_loss

#: Of a feature's own spread, the noise that a readout has to stand: what is fainter counts as lost. Without it a
#: readout would live on the rounding of the last digit, which is another one on every machine.
NOISE = 0.003

#: A feature of less spread is a constant, but for the rounding of its last digit.
CONSTANT = 1e-6


@dataclass(frozen=True)
class Kind:
    """How answers are scored.

    :param score: from predictions and answers, each ``(N, K)``, to 1 for perfect and 0 for guessing
    :param loss: what a fit makes small, of the same two
    """

    score: Callable[[Tensor, Tensor], float]
    loss: Callable[[Tensor, Tensor], Tensor]


def recall(predicted: Tensor, answers: Tensor) -> float:
    """Share of answers with the highest prediction on the right one of K symbols; 0 for chance, 1 for all of them."""
    right = (predicted.argmax(-1) == answers.argmax(-1)).double().mean().item()
    chance = 1 / answers.shape[-1]
    return (right - chance) / (1 - chance)


def explained(predicted: Tensor, answers: Tensor) -> float:
    """R2, the share of the variance that is explained, as a mean over the K numbers."""
    unexplained = (answers - predicted).square().mean(0) / answers.var(0, correction=0)
    return float(1 - unexplained.mean())


RECALL = Kind(recall, cross_entropy)
VALUE = Kind(explained, mse_loss)


def ridge(features: Tensor, answers: Tensor, noise: float = NOISE) -> Callable[[Tensor], Tensor]:
    """Least squares with an intercept, for features that carry noise of ``noise`` times their spread.

    :param features: ``(N, F)``
    :param answers: ``(N, K)``
    :return: from features to predictions
    """
    features, answers = features.double(), answers.double()
    centre, middle = features.mean(0), answers.mean(0)
    spread = features.std(0, correction=0)
    spread = torch.where(spread > CONSTANT, spread, torch.inf)
    scaled = (features - centre) / spread
    gram = scaled.T @ scaled + noise**2 * len(scaled) * torch.eye(scaled.shape[1], dtype=torch.float64)
    weight = torch.linalg.solve(gram, scaled.T @ (answers - middle))
    return lambda seen: (seen.double() - centre) / spread @ weight + middle

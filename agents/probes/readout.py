"""Linear readouts of answers from a memory's outputs: of a memory as it is, and of one that is fitted with them.

Letters: T time, B sequences, I inputs, N examples, F features, K numbers of an answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear, mse_loss

from rl_larnn.memory import Memory

#: A readout is computed as if each feature carried noise of this share of its standard deviation: fainter signals count
#: as lost. Without it a readout would use the rounding of the last digit, which differs between machines.
NOISE = 0.003

#: A feature of a smaller standard deviation is a constant, but for the rounding of its last digit.
CONSTANT = 1e-6

#: Of a fit: minibatches, and sequences in each.
FIT_STEPS, FIT_BATCH = 200, 16
FIT_LEARNING_RATE, FIT_GRADIENT_NORM = 0.007, 1.0


@dataclass(frozen=True)
class Scoring:
    """How answers are scored.

    :param score: from predictions and answers, each ``(N, K)``, to 1 for perfect and 0 for guessing
    :param loss: what a fit minimises, of the same two
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


SYMBOLS_RECALLED = Scoring(recall, cross_entropy)
NUMBERS_EXPLAINED = Scoring(explained, mse_loss)


def ridge(features: Tensor, answers: Tensor, noise: float = NOISE) -> Callable[[Tensor], Tensor]:
    """Least squares with an intercept, for features that carry noise.

    :param features: ``(N, F)``
    :param answers: ``(N, K)``
    :param noise: standard deviation of the noise, in units of each feature's own
    :return: from features to predictions
    """
    features, answers = features.double(), answers.double()
    feature_mean, answer_mean = features.mean(0), answers.mean(0)
    deviation = features.std(0, correction=0)
    deviation = torch.where(deviation > CONSTANT, deviation, torch.inf)
    scaled = (features - feature_mean) / deviation
    gram = scaled.T @ scaled + noise**2 * len(scaled) * torch.eye(scaled.shape[1], dtype=torch.float64)
    weight = torch.linalg.solve(gram, scaled.T @ (answers - answer_mean))
    return lambda unseen: (unseen.double() - feature_mean) / deviation @ weight + answer_mean


def fit(memory: Memory, xs: Tensor, answers: Tensor, begin: int, loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Train ``memory`` in place with a linear head: Adam, with a learning rate that falls linearly to zero.

    :param xs: ``(T, B, I)``
    :param answers: ``(T, B, K)``
    :param begin: the first step whose answer counts
    :param loss: of predictions and answers ``(N, K)``
    """
    generator = torch.Generator().manual_seed(0)
    numbers = answers.shape[-1]
    head = [nn.Parameter(xs.new_zeros(size)) for size in ((numbers, memory.output_size), (numbers,))]  # weight, bias
    parameters = [*memory.parameters(), *head]
    adam = torch.optim.Adam(parameters, lr=FIT_LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.LambdaLR(adam, lambda step: 1 - step / FIT_STEPS)
    starts = torch.zeros(len(xs), FIT_BATCH, dtype=torch.bool)
    memory.train()
    for _ in range(FIT_STEPS):
        chosen = torch.randperm(xs.shape[1], generator=generator)[:FIT_BATCH]
        outputs, _ = memory.scan(xs[:, chosen], memory.initial_state(FIT_BATCH), starts)
        error = loss(linear(outputs[begin:], *head).flatten(0, 1), answers[begin:, chosen].flatten(0, 1))
        adam.zero_grad()
        error.backward()
        nn.utils.clip_grad_norm_(parameters, FIT_GRADIENT_NORM)
        adam.step()
        schedule.step()

"""A short supervised fit of a memory, with a linear head, to the answers of one probe.

Letters: T time, B sequences, I inputs, O output, K numbers of an answer.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from rl_larnn.memory import Memory

STEPS = 200
SEQUENCES = 16
LEARNING_RATE = 0.007
LARGEST_GRADIENT = 1.0


def fit(memory: Memory, xs: Tensor, answers: Tensor, begin: int, loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Train ``memory`` in place, the same way each time: Adam, with a rate that falls in a straight line to zero.

    :param xs: ``(T, B, I)``
    :param answers: ``(T, B, K)``
    :param begin: the first step whose answer counts
    :param loss: of predictions and answers ``(N, K)``
    """
    generator = torch.Generator().manual_seed(0)
    numbers = answers.shape[-1]
    head = [nn.Parameter(xs.new_zeros(size)) for size in ((numbers, memory.output_size), (numbers,))]  # weight, bias
    parameters = [*memory.parameters(), *head]
    adam = torch.optim.Adam(parameters, lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.LambdaLR(adam, lambda step: 1 - step / STEPS)
    starts = torch.zeros(len(xs), SEQUENCES, dtype=torch.bool)
    memory.train()
    for _ in range(STEPS):
        chosen = torch.randperm(xs.shape[1], generator=generator)[:SEQUENCES]
        outputs, _ = memory.scan(xs[:, chosen], memory.initial_state(SEQUENCES), starts)
        error = loss(linear(outputs[begin:], *head).flatten(0, 1), answers[begin:, chosen].flatten(0, 1))
        adam.zero_grad()
        error.backward()
        nn.utils.clip_grad_norm_(parameters, LARGEST_GRADIENT)
        adam.step()
        schedule.step()

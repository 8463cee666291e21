"""The hyper-parameters of offline learning, and the batches."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rl_larnn.agents.settings.overrides import describe, fits
from rl_larnn.agents.settings.values import Linear
from rl_larnn.envs.datasets import Dataset, EpisodeSampler, Sampler, StreamSampler, WindowSampler
from rl_larnn.errors import UserError

#: What a batch is made of, see :class:`OfflinePlan`.
BATCHES = ("streams", "windows", "episodes")

_FALLING = Linear(1e-3)


@dataclass(frozen=True)
class OfflinePlan:
    """The hyper-parameters of offline learning.

    :param updates: steps of the optimiser
    :param batch_size: rows of a batch: windows, episodes or streams; 16 to 256
    :param seq_len: steps of a window, and steps of a stream between two updates; no meaning with ``episodes``
    :param batches: ``streams``: each row reads episodes one after the other, ``seq_len`` steps per update, and carries
        its memory on; ``windows``: random parts of ``seq_len`` steps, each read with an empty memory; ``episodes``:
        whole episodes, with gradients from the last step to the first
    :param learning_rate: a number or :class:`Linear`
    :param warmup: share of the updates in which the learning rate rises to its value
    :param max_grad_norm: gradients are scaled down to this norm; 0.25 to 10
    :param value_coef: weight of the critic's loss; 0 leaves the critic as it is
    :param best: share of the steps that is learned from, those of the episodes with the highest returns
    """

    updates: int = 10_000
    batch_size: int = 64
    seq_len: int = 20
    batches: str = "streams"
    learning_rate: float | Linear = _FALLING
    warmup: float = 0.02
    max_grad_norm: float = 0.5
    value_coef: float = 0.0
    best: float = 1.0

    def __post_init__(self) -> None:
        for name in ("updates", "batch_size", "seq_len"):
            if not fits(getattr(self, name), int) or getattr(self, name) < 1:
                raise UserError(f"{name} must be a whole number of at least 1, got {getattr(self, name)!r}")
        if self.batches not in BATCHES:
            raise UserError(f"batches must be {', '.join(BATCHES[:-1])} or {BATCHES[-1]}, got {self.batches!r}")
        for name in ("best", "warmup", "max_grad_norm", "value_coef"):
            if not fits(getattr(self, name), float):
                raise UserError(f"{name} must be a number, got {getattr(self, name)!r}")
        rate = self.learning_rate
        if isinstance(rate, Linear):
            if not (rate.start >= 0 and rate.end >= 0 and max(rate.start, rate.end) > 0):
                raise UserError(f"learning_rate must go from 0 or more to 0 or more, got {rate}")
        elif not (fits(rate, float) and rate > 0):
            raise UserError(f"learning_rate must be a number above 0 or linear(start, end), got {rate!r}")
        if not 0 < self.best <= 1:
            raise UserError(f"best, a share of the steps, must be above 0 and at most 1, got {self.best!r}")
        if not 0 <= self.warmup < 1 or not self.max_grad_norm > 0 or not self.value_coef >= 0:
            raise UserError(
                "expected a warmup from 0 to below 1, a max_grad_norm above 0 and a value_coef of at least 0, got "
                f"{self.warmup!r}, {self.max_grad_norm!r} and {self.value_coef!r}"
            )

    def rate(self, done: int) -> float:
        """The learning rate of the next update.

        :param done: updates made so far
        """
        rate = self.learning_rate
        full = rate.schedule()(1 - done / self.updates) if isinstance(rate, Linear) else float(rate)
        return full * min(1.0, (done + 1) / self.updates / self.warmup) if self.warmup else full

    def sampler(self, dataset: Dataset, seed: int) -> Sampler:
        """The source of batches."""
        if self.batches == "streams":
            return StreamSampler(dataset, self.seq_len, self.batch_size, seed)
        if self.batches == "windows":
            return WindowSampler(dataset, self.seq_len, self.batch_size, seed)
        return EpisodeSampler(dataset, self.batch_size, seed)


def split_settings(settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split settings into those of the plan and the others.

    :raises UserError: for a value of the wrong type
    """
    hints = typing.get_type_hints(OfflinePlan)
    planned = {key: value for key, value in settings.items() if key in hints}
    for key, value in planned.items():
        # A schedule goes where the hint names it; elsewhere it is one more value of the wrong type.
        if not (fits(value, hints[key]) or (key == "learning_rate" and isinstance(value, Linear))):
            expected = "a number or linear(start, end)" if key == "learning_rate" else describe(hints[key])
            raise UserError(f"the setting {key} expects {expected}, got {value!r} ({type(value).__name__})")
    return planned, {key: value for key, value in settings.items() if key not in planned}

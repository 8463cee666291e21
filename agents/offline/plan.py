"""The hyper-parameters of offline learning."""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rl_larnn.agents.settings.overrides import checked, fits
from rl_larnn.agents.settings.values import Linear
from rl_larnn.envs.datasets import Dataset, EpisodeSampler, Sampler, StreamSampler, WindowSampler
from rl_larnn.errors import UserError

#: The kinds of batches, see :class:`OfflinePlan`.
BATCHES = ("streams", "windows", "episodes")


def _valid_rate(rate: float | Linear) -> bool:
    if isinstance(rate, Linear):
        return rate.start >= 0 and rate.end >= 0 and max(rate.start, rate.end) > 0
    return rate > 0


_COUNT = (int, lambda count: count >= 1, "a whole number of at least 1")
#: Of each field: its type, whether a value is valid, and the expected values in words.
_VALID: dict[str, tuple[Any, Callable[[Any], bool], str]] = {
    **dict.fromkeys(("updates", "batch_size", "seq_len"), _COUNT),
    "batches": (str, lambda kind: kind in BATCHES, f"{', '.join(BATCHES[:-1])} or {BATCHES[-1]}"),
    "learning_rate": (float | Linear, _valid_rate, "above 0, or linear(start, end) with one such and none below 0"),
    "best": (float, lambda share: 0 < share <= 1, "a number above 0 and at most 1, a share of the steps"),
    "warmup": (float, lambda share: 0 <= share < 1, "a number from 0 to below 1, a share of the updates"),
    "max_grad_norm": (float, lambda norm: norm > 0, "a number above 0"),
    "value_coef": (float, lambda weight: weight >= 0, "a number of at least 0"),
}


@dataclass(frozen=True)
class OfflinePlan:
    """The hyper-parameters of offline learning.

    :param updates: steps of the optimiser; 3,000 to 100,000. More fit the data better, and may fit their noise.
    :param batch_size: rows of a batch: windows, episodes or streams; 16 to 256. Larger batches give gradients with less
        noise, and take longer.
    :param seq_len: steps of a window, or of a stream per update; 10 to 100; unused with ``episodes``. Gradients reach
        back at most so far.
    :param batches: ``streams``: each row reads one episode after the other, ``seq_len`` steps per update, and keeps its
        memory in between; ``windows``: random parts of ``seq_len`` steps, each read with an empty memory;
        ``episodes``: whole episodes, with gradients from the last step to the first
    :param learning_rate: a number or :class:`Linear`; 1e-4 to 3e-3. Higher is faster and less stable.
    :param warmup: share of the updates in which the learning rate rises from 0; 0 to 0.1. Longer is more stable at a
        high learning rate.
    :param max_grad_norm: larger gradients are scaled to this norm; 0.25 to 10
    :param value_coef: weight of the critic's loss; 0 to 1; 0 does not train the critic. Higher prepares it better for
        online training, and takes more of what it shares with the actor.
    :param best: share of the steps to learn from, those of the episodes with the highest returns; 0.1 to 1. Less
        imitates better episodes, and fewer.
    :raises UserError: for a value out of range
    """

    updates: int = 10_000
    batch_size: int = 64
    seq_len: int = 20
    batches: str = "streams"
    learning_rate: float | Linear = Linear(1e-3)  # noqa: RUF009
    warmup: float = 0.02
    max_grad_norm: float = 0.5
    value_coef: float = 0.0
    best: float = 1.0

    def __post_init__(self) -> None:
        for name, (kind, valid, expected) in _VALID.items():
            value = getattr(self, name)
            if not (fits(value, kind) and valid(value)):
                raise UserError(f"{name} must be {expected}, got {value!r}")

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
    planned = {key: checked(f"setting {key}", value, hints[key]) for key, value in settings.items() if key in hints}
    return planned, {key: value for key, value in settings.items() if key not in planned}

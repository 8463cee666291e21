"""Observations are tensors, or one tensor per key where the observation space is a Dict."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from torch import Tensor

Observation: TypeAlias = Tensor | dict[str, Tensor]


def map_observation(function: Callable[..., Tensor], obs: Observation, *others: Any) -> Observation:
    """Apply ``function`` to an observation, key by key if it has keys (and to its counterparts in ``others``)."""
    if isinstance(obs, dict):
        return {key: function(obs[key], *(other[key] for other in others)) for key in obs}
    return function(obs, *others)

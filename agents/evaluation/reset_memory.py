"""The same agent with its memory wiped before every step: what is left is what it does without remembering."""

from __future__ import annotations

from typing import Any

import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm


class Amnesic:
    """Predicts as the model does, but from an empty memory each time.

    :param model: an agent whose ``predict`` takes ``state`` and ``episode_start``
    """

    def __init__(self, model: BaseAlgorithm) -> None:
        self.model = model

    def predict(
        self,
        observation: np.ndarray | dict[str, np.ndarray],
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, Any]:
        """As :meth:`BaseAlgorithm.predict` at the first step of an episode, whatever came before."""
        assert episode_start is not None
        return self.model.predict(observation, None, np.ones_like(episode_start, dtype=bool), deterministic)

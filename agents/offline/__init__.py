"""Offline learning: an agent with a memory imitates a dataset, conditioned on a target return."""

from rl_larnn.agents.offline.config import OfflineConfig, OfflineSettings
from rl_larnn.agents.offline.learner import OfflineLearner
from rl_larnn.agents.offline.plan import BATCHES, OfflinePlan

__all__ = ["BATCHES", "OfflineConfig", "OfflineLearner", "OfflinePlan", "OfflineSettings"]

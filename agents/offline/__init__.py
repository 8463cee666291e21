"""Offline learning: a memory agent that imitates the episodes of a dataset, whatever return is asked of it."""

from rl_larnn.agents.offline.config import OfflineConfig, OfflineSettings
from rl_larnn.agents.offline.learner import OfflineLearner
from rl_larnn.agents.offline.plan import BATCHES, OfflinePlan
from rl_larnn.agents.training.offline_run import OfflineRun, resume_offline, train_offline

__all__ = [
    "BATCHES",
    "OfflineConfig",
    "OfflineLearner",
    "OfflinePlan",
    "OfflineRun",
    "OfflineSettings",
    "resume_offline",
    "train_offline",
]

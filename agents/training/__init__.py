"""The life of a run: start, resume, evaluate, select, finish."""

from rl_larnn.agents.training.offline_run import OfflineRun, resume_offline, train_offline
from rl_larnn.agents.training.run import Run, TrainConfig, resume, train

__all__ = ["OfflineRun", "Run", "TrainConfig", "resume", "resume_offline", "train", "train_offline"]

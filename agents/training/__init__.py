"""Training: start, resume, evaluate, select, finish."""

from rl_larnn.agents.settings.config import TrainConfig
from rl_larnn.agents.training.finish import Run
from rl_larnn.agents.training.run import resume, resume_offline, train, train_offline

__all__ = ["Run", "TrainConfig", "resume", "resume_offline", "train", "train_offline"]

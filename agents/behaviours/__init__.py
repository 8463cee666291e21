"""Datasets for offline learning: saved, trained and scripted agents play, at a level, and Minari keeps the episodes."""

from rl_larnn.agents.behaviours.config import LEVELS, SCRIPTED, CollectConfig
from rl_larnn.agents.behaviours.levels import Stored, collect_datasets
from rl_larnn.agents.behaviours.saved_agents import SavedAgent, load_agent
from rl_larnn.agents.behaviours.training import Trained, read_behaviour, train_behaviour

__all__ = [
    "LEVELS",
    "SCRIPTED",
    "CollectConfig",
    "SavedAgent",
    "Stored",
    "Trained",
    "collect_datasets",
    "load_agent",
    "read_behaviour",
    "train_behaviour",
]

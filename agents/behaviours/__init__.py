"""Collecting datasets for offline learning with saved, trained and scripted agents, at a level of skill."""

from rl_larnn.agents.behaviours.config import LEVELS, SCRIPTED, CollectConfig
from rl_larnn.agents.behaviours.folder import TrainedBehaviour, read_behaviour
from rl_larnn.agents.behaviours.levels import collect_datasets
from rl_larnn.agents.behaviours.saved_agents import SavedAgent, load_agent
from rl_larnn.agents.behaviours.storing import StoredDataset
from rl_larnn.agents.behaviours.training import train_behaviour

__all__ = [
    "LEVELS",
    "SCRIPTED",
    "CollectConfig",
    "SavedAgent",
    "StoredDataset",
    "TrainedBehaviour",
    "collect_datasets",
    "load_agent",
    "read_behaviour",
    "train_behaviour",
]

"""Datasets for offline learning: episodes and windows, readers of file formats, a cache, and collection."""

from rl_larnn.envs.datasets.behaviour import Behaviour, Policy, mixed_behaviour, random_behaviour
from rl_larnn.envs.datasets.cache import load_cached, open_dataset, save_dataset
from rl_larnn.envs.datasets.checks import (
    ReturnRange,
    actions_warning,
    check_environment_fits,
    target_range,
    target_warning,
)
from rl_larnn.envs.datasets.collecting import Amount, collect, episode_seed
from rl_larnn.envs.datasets.columns import Columns
from rl_larnn.envs.datasets.dataset import Dataset, best_episodes
from rl_larnn.envs.datasets.episode import Episode
from rl_larnn.envs.datasets.errors import DatasetError
from rl_larnn.envs.datasets.masking import Mask, mask_of
from rl_larnn.envs.datasets.minari_store import dataset_folder, local_ids, refuse_taken_id
from rl_larnn.envs.datasets.minari_writer import store_minari
from rl_larnn.envs.datasets.readers import dataset_title, load_dataset, permanent_name
from rl_larnn.envs.datasets.readers.d4rl import load_d4rl, with_spaces_of
from rl_larnn.envs.datasets.readers.minari import read_minari, read_record
from rl_larnn.envs.datasets.recorder import Recorder
from rl_larnn.envs.datasets.samplers import EpisodeSampler, Sampler, StreamSampler, WindowSampler
from rl_larnn.envs.datasets.scores import D4RL_LOCOMOTION, References, normalized_score, returns_to_go
from rl_larnn.envs.datasets.scripted import scripted_behaviour
from rl_larnn.envs.datasets.windows import Windows, episode_batches, windows_of

__all__ = [
    "D4RL_LOCOMOTION",
    "Amount",
    "Behaviour",
    "Columns",
    "Dataset",
    "DatasetError",
    "Episode",
    "EpisodeSampler",
    "Mask",
    "Policy",
    "Recorder",
    "References",
    "ReturnRange",
    "Sampler",
    "StreamSampler",
    "WindowSampler",
    "Windows",
    "actions_warning",
    "best_episodes",
    "check_environment_fits",
    "collect",
    "dataset_folder",
    "dataset_title",
    "episode_batches",
    "episode_seed",
    "load_cached",
    "load_d4rl",
    "load_dataset",
    "local_ids",
    "mask_of",
    "mixed_behaviour",
    "normalized_score",
    "open_dataset",
    "permanent_name",
    "random_behaviour",
    "read_minari",
    "read_record",
    "refuse_taken_id",
    "returns_to_go",
    "save_dataset",
    "scripted_behaviour",
    "store_minari",
    "target_range",
    "target_warning",
    "windows_of",
    "with_spaces_of",
]

"""Readers of datasets, one file for each format, and the functions that load a dataset by its name.

A new format is one file with a reader (see ``reader.py``) and one row in ``READERS``.
"""

from pathlib import Path

from rl_larnn.envs.datasets.dataset import Dataset
from rl_larnn.envs.datasets.readers.d4rl import D4rlReader
from rl_larnn.envs.datasets.readers.minari import MinariReader
from rl_larnn.envs.datasets.readers.reader import FileReader, Reader, Source

__all__ = [
    "READERS",
    "FileReader",
    "Reader",
    "Source",
    "dataset_title",
    "find_source",
    "load_dataset",
    "permanent_name",
]

READERS: list[Reader] = [D4rlReader(), MinariReader()]
"""The first reader that claims a name reads it. D4RL's claims any file and Minari's any name: new rows go before."""


def load_dataset(name_or_path: str | Path, download: bool = False, max_episode_steps: int | None = None) -> Dataset:
    """Read a dataset into memory. For one that is too large, or read often, see ``load_cached``.

    :param name_or_path: a Minari id (without a version: the newest local one), or the path of a D4RL file, which is
        recognised by its ending, ``.hdf5`` or ``.h5``, or by being a file
    :param download: fetch a Minari dataset that is not in the local store; without it nothing touches the network
    :param max_episode_steps: where to cut the episodes of a file without timeouts, see ``load_d4rl``
    :raises DatasetError: there is no such dataset (with the nearest names, and how to get it), or it is damaged
    """
    return find_source(name_or_path, download, max_episode_steps).read()


def find_source(name_or_path: str | Path, download: bool = False, max_episode_steps: int | None = None) -> Source:
    """Find a dataset without reading it. Parameters and errors are those of ``load_dataset``."""
    name = str(name_or_path)
    return _reader_of(name).find(name, download, max_episode_steps)


def permanent_name(name: str) -> str:
    """Return the name of the same dataset in any working directory."""
    return _reader_of(name).permanent_name(name)


def dataset_title(name: str) -> str:
    """Return a short name of a dataset, after which folders are named."""
    return _reader_of(name).title(name)


def _reader_of(name: str) -> Reader:
    return next(reader for reader in READERS if reader.claims(name))

"""What a reader of a dataset format is. The table of readers is in ``readers/__init__.py``."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rl_larnn.envs.datasets.dataset import Dataset


@dataclass(frozen=True)
class Source:
    """A dataset that was found but not yet read.

    :param name: complete name, by which messages name the dataset
    :param data: file or folder whose size and time of change tell whether a cached copy is out of date
    :param copy: folder of the cached copy, unless the user names another
    :param read: reads the dataset into memory
    :param max_episode_steps: where ``read`` cuts episodes; None: where the data say that they end
    """

    name: str
    data: Path
    copy: Path
    read: Callable[[], Dataset]
    max_episode_steps: int | None = None


class Reader(Protocol):
    """Reader of one dataset format."""

    def claims(self, name: str) -> bool:
        """Return whether a name, as the user typed it, means a dataset of this format, existing or not."""

    def find(self, name: str, download: bool, max_episode_steps: int | None) -> Source:
        """Find a dataset.

        :param name: a name that this reader claims
        :param download: fetch the dataset if it is missing; without it nothing touches the network
        :param max_episode_steps: where to cut episodes whose ends the data do not tell
        :raises DatasetError: there is no such dataset; with the nearest names
        """

    def permanent_name(self, name: str) -> str:
        """Return the name of the same dataset in any working directory. Run folders keep this name."""

    def title(self, name: str) -> str:
        """Return a short name. Run folders are named after it."""


class FileReader(ABC):
    """Base class of readers whose datasets are single files. A subclass has ``suffixes`` and ``read``."""

    suffixes: tuple[str, ...]
    """Endings of the files, in lower case, with the dot."""

    @abstractmethod
    def read(self, path: str, max_episode_steps: int | None) -> Dataset:
        """Read a file.

        :param path: the path as the user typed it, which becomes the name of the dataset
        :param max_episode_steps: what ``step_limit`` returned
        :raises DatasetError: the file is missing or damaged
        """

    def step_limit(self, path: str, max_episode_steps: int | None) -> int | None:
        """Return where to cut episodes. Formats that tell where episodes end need none."""
        return None

    def claims(self, name: str) -> bool:
        return Path(name).suffix.lower() in self.suffixes

    def find(self, name: str, download: bool, max_episode_steps: int | None) -> Source:
        data = Path(name).resolve()
        limit = self.step_limit(name, max_episode_steps)
        return Source(name, data, data.with_name(f"{data.name}.columns"), lambda: self.read(name, limit), limit)

    def permanent_name(self, name: str) -> str:
        return str(Path(name).resolve())

    def title(self, name: str) -> str:
        return Path(name).stem

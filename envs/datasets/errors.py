"""What goes wrong with datasets, each told on one line; and the packages that only they need."""

import importlib
from typing import Any

from rl_larnn.errors import UserError, one_line


class DatasetError(UserError):
    """A dataset that cannot be found, read or used: what was expected, what came, the nearest right thing."""


def require(module: str) -> Any:
    """The module ``h5py`` or ``minari``, or a part of them, imported on first use.

    :raises DatasetError: the package is not installed
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise DatasetError(f"datasets need {package}: pip install 'rl-larnn[offline]' ({one_line(error)})") from error

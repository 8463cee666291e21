"""Errors about datasets, and the import of packages that only datasets need."""

import importlib
from typing import Any

from rl_larnn.errors import UserError, one_line


class DatasetError(UserError):
    """A dataset that cannot be found, read or used."""


def import_optional(module: str) -> Any:
    """Import ``h5py``, ``minari`` or a part of them, on first use.

    :raises DatasetError: the package is not installed
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise DatasetError(f"datasets need {package}: pip install 'rl-larnn[offline]' ({one_line(error)})") from error

"""Base environments that need an extra package. They are imported only when one is made.

A task whose base needs an extra package registers ``rl_larnn.envs.optional:`` and the dotted path of the class. Looking
the path up here returns the class itself, from which Gymnasium reads its render modes, or raises an error that says
what to install.
"""

import importlib
import warnings
from typing import Any

from gymnasium.error import DependencyNotInstalled

# prefix of the module of the class -> the package that it needs
_NEEDED = {
    "gymnasium.envs.box2d": "Box2D",
    "gymnasium.envs.mujoco": "mujoco",
    "minigrid": "minigrid",
    "popgym": "popgym",
    "rl_larnn.envs.tasks.short_decks": "popgym",
}
_EXTRA = "envs"


def __getattr__(path: str) -> Any:
    package = next((package for prefix, package in _NEEDED.items() if path.startswith(f"{prefix}.")), None)
    if package is None:
        raise AttributeError(f"module {__name__!r} has no attribute {path!r}")
    module, _, name = path.rpartition(".")
    try:
        with warnings.catch_warnings():
            # Box2D's compiled part warns while it loads; where warnings are errors, this kills the interpreter.
            warnings.simplefilter("ignore", DeprecationWarning)
            importlib.import_module(package)
            return getattr(importlib.import_module(module), name)
    except (ImportError, DependencyNotInstalled):
        raise DependencyNotInstalled(f"{name} needs {package}: pip install 'rl-larnn[{_EXTRA}]'") from None

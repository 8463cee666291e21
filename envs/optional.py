"""Base environments that need an extra package, loaded only when one is made.

A task whose base needs nothing registers that base's own class. The others register a name of this module, which
becomes the class on first use, or one line that says what to install. Being the class, not a function around it, it
keeps what Gymnasium reads from it, such as its render modes.
"""

import importlib
import warnings
from typing import Any

from gymnasium.error import DependencyNotInstalled

# name here -> module of the class, package it needs, pip extra that brings the package
_CLASSES = {"LunarLander": ("gymnasium.envs.box2d.lunar_lander", "Box2D", "envs")}


def __getattr__(name: str) -> Any:
    if name not in _CLASSES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, package, extra = _CLASSES[name]
    try:
        with warnings.catch_warnings():
            # Box2D's compiled part warns while it loads; where warnings are errors, that kills the interpreter.
            warnings.simplefilter("ignore", DeprecationWarning)
            return getattr(importlib.import_module(module), name)
    except (ImportError, DependencyNotInstalled):
        raise DependencyNotInstalled(f"{name} needs {package}: pip install 'rl-larnn[{extra}]'") from None

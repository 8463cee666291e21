"""From the name of a memory to its class and back. A user's own class is named ``package.module:Class``."""

from __future__ import annotations

import importlib

from rl_larnn.agents.algorithms import BASELINES
from rl_larnn.errors import UserError, one_line, unknown_name
from rl_larnn.memories import MEMORIES
from rl_larnn.memory import Memory


def memory_class(name: str) -> type[Memory]:
    """The class behind a registered name or a ``package.module:Class`` path.

    :raises UserError: if there is no such memory, with the nearest names
    """
    if name in MEMORIES:
        return MEMORIES[name]
    module_name, colon, class_name = name.partition(":")
    if not colon:
        raise unknown_name("memory", name, [*MEMORIES, *BASELINES])
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"cannot import the memory {name!r}: {one_line(error)}") from error
    if not (isinstance(found, type) and issubclass(found, Memory)):
        raise UserError(f"expected {name!r} to be a subclass of rl_larnn.memory.Memory, got {found!r}")
    return found


def memory_name(memory: str | type[Memory]) -> str:
    """The name under which :func:`memory_class` finds a memory again.

    :raises UserError: if it cannot, as for a class defined inside a function
    """
    if isinstance(memory, str):
        memory_class(memory)
        return memory
    if not isinstance(memory, type):
        raise UserError(f"expected the name of a memory or a subclass of rl_larnn.memory.Memory, got {memory!r}")
    for name, known in MEMORIES.items():
        # A name that the user registered would be unknown to the process that loads the run.
        if known is memory and memory.__module__.startswith("rl_larnn."):
            return name
    name = f"{memory.__module__}:{memory.__qualname__}"
    if memory_class(name) is not memory:
        raise UserError(f"{name} is another class than the memory that was passed")
    return name


def short_name(name: str) -> str:
    """A memory's name as part of a folder name: of ``package.module:Class`` only the class."""
    return name.rpartition(":")[2].lower()

"""The memories, by name. To add one: write its file here and one line in the table."""

from __future__ import annotations

import difflib
import importlib
import inspect
from typing import Any

from rl_larnn.errors import UserError, one_line, unknown_name
from rl_larnn.memories.aaren import Aaren
from rl_larnn.memories.elman import Elman
from rl_larnn.memories.gru import Gru
from rl_larnn.memories.larnn import Larnn
from rl_larnn.memories.lstm import Lstm
from rl_larnn.memories.none import NoMemory
from rl_larnn.memories.transformer import Transformer
from rl_larnn.memory import Memory

MEMORIES: dict[str, type[Memory]] = {
    "none": NoMemory,
    "elman": Elman,
    "gru": Gru,
    "lstm": Lstm,
    "larnn": Larnn,
    "aaren": Aaren,
    "transformer": Transformer,
}


#: The memory of policies, recipes and commands where none is named.
DEFAULT_MEMORY = "aaren"


def find_memory(memory: str | type[Memory]) -> type[Memory]:
    """The class behind a name of the table or a ``package.module:Class`` path; a class passes through.

    :raises UserError: for an unknown name, with the nearest ones, and for a path that leads to no memory
    :raises TypeError: for something that is neither a name nor a subclass of :class:`Memory`
    """
    if isinstance(memory, type) and issubclass(memory, Memory):
        return memory
    if not isinstance(memory, str):
        came = (
            f"the class {memory.__name__}" if isinstance(memory, type) else f"an object of type {type(memory).__name__}"
        )
        raise TypeError(f"memory must be a name ({', '.join(MEMORIES)}) or a subclass of Memory, got {came}")
    if memory in MEMORIES:
        return MEMORIES[memory]
    module_name, colon, class_name = memory.partition(":")
    if not colon:
        raise unknown_name("memory", memory, MEMORIES)
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"cannot import the memory {memory!r}: {one_line(error)}") from error
    if not (isinstance(found, type) and issubclass(found, Memory)):
        raise UserError(f"expected {memory!r} to be a subclass of rl_larnn.memory.Memory, got {found!r}")
    return found


def memory_name(memory: str | type[Memory]) -> str:
    """The name under which :func:`find_memory` finds a memory again, in another process too.

    :raises UserError: if it cannot, as for a class defined inside a function
    """
    try:
        found = find_memory(memory)
    except TypeError as error:
        raise UserError(str(error)) from error
    if isinstance(memory, str):
        return memory
    for name, known in MEMORIES.items():
        # A name that the user registered would be unknown to the process that loads the run.
        if known is memory and memory.__module__.startswith("rl_larnn."):
            return name
    name = f"{memory.__module__}:{memory.__qualname__}"
    if find_memory(name) is not found:
        raise UserError(f"{name} is another class than the memory that was passed")
    return name


def memory_options(memory: str | type[Memory]) -> list[str]:
    """The names of a memory's options: the arguments of its constructor after ``input_size``."""
    return list(inspect.signature(find_memory(memory)).parameters)[1:]


def build_memory(memory: str | type[Memory], input_size: int, options: dict[str, Any]) -> Memory:
    """Make a memory from its name or class.

    :raises ValueError: for an unknown name or option, with the nearest known ones
    """
    known = memory_options(memory)
    for option in options:
        if option not in known:
            close = difflib.get_close_matches(option, known, n=1, cutoff=0.4)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise ValueError(f"memory {memory!r} has no option {option!r}{hint} (it has {', '.join(known) or 'none'})")
    return find_memory(memory)(input_size, **options)  # type: ignore[call-arg]


def register_memory(name: str, memory: type[Memory]) -> None:
    """Make ``memory`` known by ``name``, for ``memory=name`` in policies and scripts.

    :raises ValueError: if the name is taken by another class
    """
    if MEMORIES.get(name, memory) is not memory:
        raise ValueError(f"the name {name!r} belongs to {MEMORIES[name].__name__}; choose another")
    MEMORIES[name] = find_memory(memory)


__all__ = [
    "DEFAULT_MEMORY",
    "MEMORIES",
    "Aaren",
    "Elman",
    "Gru",
    "Larnn",
    "Lstm",
    "Memory",
    "NoMemory",
    "Transformer",
    "build_memory",
    "find_memory",
    "memory_name",
    "memory_options",
    "register_memory",
]

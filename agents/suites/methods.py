"""The methods that suites compare, by name: memories, baselines, and behaviour cloning on datasets."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from rl_larnn.agents.algorithms import BASELINES
from rl_larnn.errors import unknown_name
from rl_larnn.memories import MEMORIES, memory_name

#: The method of ours without a memory.
CONTROL = "none"

#: Behavior cloning without a memory: options of :class:`rl_larnn.agents.offline.OfflineConfig`.
CLONING: dict[str, Mapping[str, Any]] = {"bc": {"clone": True}, "bc-best-10%": {"clone": True, "best": 0.1}}


def methods() -> list[str]:
    """All methods, in the order in which tables and legends list them."""
    memories = [name for name in reversed(MEMORIES) if name != CONTROL]
    return [*memories, CONTROL, *BASELINES, *CLONING]


def is_memory(method: str) -> bool:
    """Whether it is a memory, the user's own included; the control is none."""
    return method not in (CONTROL, *BASELINES, *CLONING)


def method_order(method: str) -> tuple[int, str]:
    """The place of a method in tables and legends; a user's own memories follow those of the library."""
    known = methods()
    return (2 * known.index(method) if method in known else 2 * known.index(CONTROL) - 1), method


def find_method(name: str, known: Collection[str]) -> str:
    """A method's name, checked.

    :param name: one of the known names, or ``package.module:Class`` for a memory of one's own
    :param known: the names that are possible on the tasks
    :raises UserError: if there is no such method
    """
    if name in known:
        return name
    if ":" not in name:
        raise unknown_name("method", name, known)
    return memory_name(name)

"""Flat settings that override a recipe: the keys, their types, and the part of the recipe that each belongs to."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any, Literal

from rl_larnn.agents.algorithms import ALGORITHMS, BASELINES, OURS, keyword_parameters
from rl_larnn.agents.components.checks import REMOVED_OPTIONS
from rl_larnn.agents.settings.models import ACTIVATIONS
from rl_larnn.agents.settings.recipes import Recipe
from rl_larnn.agents.settings.values import Linear
from rl_larnn.errors import UserError, unknown_name
from rl_larnn.memories import find_memory

# Set elsewhere (by the environment, the run or options of their own), or not expressible as text.
_NOT_ARGUMENTS = {"policy", "env", "policy_kwargs", "tensorboard_log", "verbose", "seed", "device", "_init_setup_model"}
_NOT_POLICY = {"observation_space", "action_space", "lr_schedule", "use_sde", "memory", "memory_kwargs"}
_NOT_MEMORY = {"input_size", "output_size"}
#: Fields of a recipe that are no flat setting.
NO_SETTINGS = {"algorithm", "arguments", "policy", "for_memory", "memory"}


def keyword_types(owner: type, without: set[str]) -> dict[str, Any]:
    """The keyword arguments of a class's constructor with their type hints, without those that expect a class.

    Where the constructor has ``**kwargs``, those of its base class are included.
    """
    found = {name: _hints(base.__init__).get(name, Any) for name, (_, base) in keyword_parameters(owner).items()}  # type: ignore[misc]
    classes = {name for name, hint in found.items() if any(typing.get_origin(part) is type for part in _parts(hint))}
    return {name: hint for name, hint in found.items() if name not in without | classes}


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function)
    except NameError:  # a name that only the type checker imports
        return {}


def _parts(hint: Any) -> tuple[Any, ...]:
    union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    return typing.get_args(hint) if union else (hint,)


def setting_types(memory: str | None, algorithm: str = OURS) -> dict[str, dict[str, Any]]:
    """The type hint of every key that may be set, in groups: ``recipe``, ``arguments``, ``policy``, ``memory``.

    :param memory: its name; None for an algorithm that takes none
    """
    recipe_hints, row = typing.get_type_hints(Recipe), ALGORITHMS[algorithm]
    policy = keyword_types(row.policy, _NOT_POLICY)
    policy["activation_fn"] = Literal[tuple(ACTIVATIONS)]
    return {
        "recipe": {item.name: recipe_hints[item.name] for item in fields(Recipe) if item.name not in NO_SETTINGS},
        "arguments": keyword_types(row.learner, _NOT_ARGUMENTS),
        "policy": policy,
        "memory": {"hidden_size": int} if memory is None else keyword_types(find_memory(memory), _NOT_MEMORY),
    }


def fits(value: Any, hint: Any) -> bool:
    """Whether a parsed value is valid for a type hint; a whole number is valid for a float."""
    return any(_fits_one(value, part) for part in _parts(hint))


def checked(what: str, value: Any, hint: Any) -> Any:
    """A value that is valid for a type hint; None becomes the word ``none`` where the hint has the word and no None.

    :param what: name of the value, for the message
    :raises UserError: for a value of another type
    """
    if fits(value, hint):
        return value
    if value is None and fits("none", hint):
        return "none"
    raise UserError(f"the {what} expects {describe(hint)}, got {value!r} ({type(value).__name__})")


def _fits_one(value: Any, hint: Any) -> bool:
    origin = typing.get_origin(hint) or hint
    if hint is Any or hint in (None, type(None)):
        return hint is Any or value is None
    if origin is Literal:
        return value in typing.get_args(hint)
    if isinstance(value, Linear):
        return isinstance(origin, type) and issubclass(origin, Linear | Callable)  # type: ignore[arg-type]
    if isinstance(value, bool):
        return hint is bool
    if hint is float:
        return isinstance(value, int | float)
    return isinstance(origin, type) and isinstance(value, origin)


def describe(hint: Any) -> str:
    """A type hint in words for an error line."""
    origin = typing.get_origin(hint)
    if origin is Literal:
        return " or ".join(str(choice) for choice in typing.get_args(hint))
    if len(_parts(hint)) > 1:
        return " or ".join(describe(part) for part in _parts(hint))
    if hint is None or hint is type(None):
        return "none"
    if isinstance(origin or hint, type) and issubclass(origin or hint, Linear | Callable):  # type: ignore[arg-type]
        return "linear(start, end)"
    return getattr(origin or hint, "__name__", str(hint))


def apply_settings(recipe: Recipe, memory: str | None, settings: Mapping[str, Any]) -> Recipe:
    """The recipe for one memory, with ``settings`` in place of its own values.

    :param memory: its name; None for an algorithm that takes none
    :param settings: by flat name: fields of the recipe, arguments of the algorithm, the policy and the memory
    :return: a recipe whose ``for_memory`` holds the options of this memory alone
    :raises UserError: for an unknown key (with the nearest ones) or a value of the wrong type
    """
    recipe = replace(recipe, memory=memory)
    groups = setting_types(memory, recipe.algorithm)
    known = {key for keys in groups.values() for key in keys}
    common = {key: value for key, value in recipe.for_memory.get("all", {}).items() if key in known}
    chosen: dict[str, dict[str, Any]] = {group: {} for group in groups}
    for key, value in {**common, **recipe.memory_options, **settings}.items():
        group = _group_of(key, groups)
        chosen[group][key] = checked(f"setting {key}", value, groups[group][key])
    row = ALGORITHMS[recipe.algorithm]
    changes: dict[str, Any] = {
        "arguments": row.arguments({**recipe.arguments, **chosen["arguments"]}),
        "policy": row.policy_options({**recipe.policy, **chosen["policy"]}),
        "for_memory": {memory or recipe.algorithm: chosen["memory"]},
    }
    return replace(recipe, **changes, **chosen["recipe"])


def _group_of(key: str, groups: Mapping[str, Mapping[str, Any]]) -> str:
    """:raises UserError: for an unknown key."""
    if key in REMOVED_OPTIONS:
        raise UserError(f"the setting {key} was removed, since no measurement supported it: leave it out")
    for group, keys in groups.items():
        if key in keys:
            return group
    raise unknown_name("setting", key, [name for keys in groups.values() for name in keys])


def settings_taken_by(method: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that a method has: all of them for a memory; for a baseline those that it knows.

    :param method: name of a memory, or of an algorithm that takes none
    """
    if method not in BASELINES:
        return dict(settings)
    known = {key for keys in setting_types(None, method).values() for key in keys}
    return {key: value for key, value in settings.items() if key in known}

"""Find and make environments by short ids, with the newest version and the nearest names."""

import difflib
import importlib
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import find_highest_version, get_env_id, parse_env_id

from rl_larnn.envs.registry import TASKS
from rl_larnn.envs.task import Task
from rl_larnn.errors import UserError

_OURS = "rl_larnn.envs"


class UnknownEnvironmentError(UserError):
    """No registered environment has this name; the message lists the nearest ones."""


def resolve_id(name: str) -> str:
    """Return the full id of an environment, without Gymnasium's warning about ids without a version.

    ``CartPole-POMDP`` becomes ``CartPole-POMDP-v0``; an id without a version becomes its newest one; ``module:id``
    imports the module first and keeps it in front, except for our own; a complete registered id stays as it is.

    :raises UnknownEnvironmentError: nothing of that name is registered, or the module cannot be imported
    """
    module, _, env_id = name.rpartition(":")
    if module:
        _import(module, name)
    full_id = env_id if env_id in gym.registry else _newest_version(env_id)
    if full_id is None:
        raise UnknownEnvironmentError(f"unknown environment {name!r}; {_suggestion(env_id)}")
    return full_id if module in ("", _OURS) else f"{module}:{full_id}"


def find_task(env_id: str) -> Task | None:
    """Return the row of the table for an id (full, short or with ``module:`` in front), or None if it is not ours."""
    plain = env_id.rpartition(":")[2]
    return next((task for task in TASKS.values() if plain in (task.id, task.short_id)), None)


def make(name: str, **kwargs: Any) -> gym.Env:
    """Make an environment like ``gymnasium.make``, by any name that ``resolve_id`` takes.

    Worker processes start without our ids. This function, pickled by name, registers them there:
    ``make_vec_env(make, env_kwargs={"name": "CartPole-POMDP"}, vec_env_cls=SubprocVecEnv)``.

    :raises UnknownEnvironmentError: see ``resolve_id``
    :raises gymnasium.error.DependencyNotInstalled: the environment needs a package that is missing
    """
    return gym.make(resolve_id(name), **kwargs)


def _import(module: str, name: str) -> None:
    try:
        importlib.import_module(module)
    except Exception as error:  # a module of the user may fail in any way
        raise UnknownEnvironmentError(
            f"cannot import module {module!r} named in {name!r}: {type(error).__name__}: {error}"
        ) from error


def _newest_version(env_id: str) -> str | None:
    try:
        namespace, base_name, version = parse_env_id(env_id)
    except gym.error.Error:
        return None
    newest = find_highest_version(namespace, base_name) if version is None else None
    return None if newest is None else get_env_id(namespace, base_name, newest)


def _suggestion(env_id: str) -> str:
    nearest = _nearest(env_id)
    if nearest:
        return f"the nearest names are {', '.join(nearest)}"
    return f"ours are {', '.join(task.short_id for task in TASKS.values())}"


def _nearest(env_id: str, count: int = 3) -> list[str]:
    """Return up to ``count`` nearest names, short or full, ignoring case."""
    forms = {
        form.casefold(): (form, short) for full in gym.registry for short in [_short(full)] for form in (full, short)
    }
    matches = difflib.get_close_matches(env_id.casefold(), forms, n=4 * count, cutoff=0.5)
    best_form: dict[str, str] = {}
    for form, short in (forms[match] for match in matches):
        best_form.setdefault(short, form)
    return list(best_form.values())[:count]


def _short(full_id: str) -> str:
    namespace, name, _ = parse_env_id(full_id)
    return get_env_id(namespace, name, None)

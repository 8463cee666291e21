"""The options of a run (:class:`TrainConfig`) and the settings that follow from them (:class:`Settings`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import gymnasium as gym
from gymnasium import spaces

from rl_larnn.agents.algorithms import ALGORITHMS, BASELINES, OURS
from rl_larnn.agents.settings.environments import check_environment
from rl_larnn.agents.settings.models import pick_device
from rl_larnn.agents.settings.overrides import NO_SETTINGS, apply_settings, fits
from rl_larnn.agents.settings.recipes import Recipe, recipe_for
from rl_larnn.agents.settings.values import Linear, format_value, parse_value
from rl_larnn.envs import resolve_id
from rl_larnn.envs.spaces import describe_space, same_form
from rl_larnn.errors import UserError, unknown_name
from rl_larnn.memories import DEFAULT_MEMORY, MEMORIES, memory_name
from rl_larnn.memory import Memory

VEC_ENVS = ("dummy", "subproc")

#: Smallest value of each number in a config.
_SMALLEST = dict(seed=0, n_timesteps=1, n_envs=1, checkpoint_freq=1, eval_freq=0, eval_episodes=1, threads=1)
_OPTIONAL = ("n_timesteps", "n_envs", "checkpoint_freq", "eval_freq")


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """The options of every run, online or offline.

    :param seed: of the parameters, the actions and the environments; 0 to 2**32 - 1
    :param device: ``auto``, ``cpu``, ``cuda`` or ``cuda:<index>``
    :param run_dir: folder to create; ``None``: ``runs/<environment or dataset>/<memory or algorithm>-s<seed>``, with
        the first free number as suffix
    :param settings: flat hyper-parameters that override the recipe, see :mod:`rl_larnn.agents.settings.overrides`
    :param env_kwargs: keyword arguments of the environment
    :param checkpoint_freq: steps (or updates) between checkpoints, which are also saved every 60 seconds; ``None``: a
        tenth of the training
    :param eval_freq: steps (or updates) between evaluations; ``None``: a twentieth of an online training, a tenth of an
        offline one; 0: no evaluations, the last agent is the result
    :param eval_episodes: episodes of the final evaluation
    :param threads: threads of torch on the CPU; small networks are fastest with one
    """

    seed: int = 0
    device: str = "auto"
    run_dir: str | Path | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    env_kwargs: Mapping[str, Any] = field(default_factory=dict)
    checkpoint_freq: int | None = None
    eval_freq: int | None = None
    eval_episodes: int = 100
    threads: int = 1


@dataclass(frozen=True)
class TrainConfig(RunConfig):
    """The options of online training. ``None`` leaves a choice to the recipe.

    :param env: any Gymnasium id, or the short form of one of ours (``CartPole-POMDP``)
    :param memory: a name of ``rl_larnn.memories.MEMORIES``, ``package.module:Class`` or a Memory subclass; the name of
        an algorithm that takes no memory sets ``algorithm``
    :param n_timesteps: environment steps, over all environments together
    :param n_envs: environments that run in parallel
    :param vec_env: ``dummy`` (one process) or ``subproc`` (one process per environment)
    :param init: folder of a run, online or offline, whose weights and normalisation the agent starts with; algorithm,
        memory and all settings that are not given are then those of that run
    :param algorithm: a name of :data:`rl_larnn.agents.algorithms.ALGORITHMS`
    """

    env: str
    memory: str | type[Memory] | None = None
    n_timesteps: int | None = None
    n_envs: int | None = None
    vec_env: str = "dummy"
    init: str | Path | None = None
    algorithm: str | None = None


@dataclass(frozen=True)
class Settings:
    """The complete settings of a run, as ``config.json`` holds them. Fields as in :class:`TrainConfig`."""

    env: str
    seed: int
    device: str
    env_kwargs: Mapping[str, Any]
    checkpoint_freq: int | None
    eval_freq: int | None
    eval_episodes: int
    vec_env: str
    threads: int
    recipe_name: str
    recipe: Recipe
    init: str | None = None

    @property
    def algorithm(self) -> str:
        """A name of the table of algorithms."""
        return self.recipe.algorithm

    @property
    def memory(self) -> str | None:
        """The memory's name; None for an algorithm that takes none."""
        return self.recipe.memory

    @property
    def method(self) -> str:
        """The name that runs are compared by."""
        return self.recipe.method

    def heading(self) -> str:
        """A title of one line."""
        parts = {"algorithm": None if self.algorithm == OURS else self.algorithm, "memory": self.memory}
        method = " and ".join(f"{kind} {name}" for kind, name in parts.items() if name is not None)
        return f"{self.env} with {method}, seed {self.seed}, recipe {self.recipe_name}"

    def choices(self) -> dict[str, Any]:
        """Every hyper-parameter under its flat name."""
        recipe = self.recipe
        own = {item.name: getattr(recipe, item.name) for item in fields(Recipe) if item.name not in NO_SETTINGS}
        return {**own, **recipe.arguments, **recipe.policy, **recipe.memory_options}

    def to_json(self) -> dict[str, Any]:
        """Plain data. The environment's arguments become text, in the syntax of ``--env-kwargs``."""
        data = {item.name: getattr(self, item.name) for item in fields(self)}
        data["recipe"] = _plain({item.name: getattr(self.recipe, item.name) for item in fields(Recipe)})
        data["env_kwargs"] = {key: format_value(value) for key, value in self.env_kwargs.items()}
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Settings:
        """The inverse of :meth:`to_json`, also for files of earlier revisions; unknown keys are ignored.

        :raises KeyError, TypeError: if a field is missing
        """
        known = {item.name: data[item.name] for item in fields(cls) if item.name != "init"}
        known["env_kwargs"] = {key: parse_value(text) for key, text in data["env_kwargs"].items()}
        recipe = dict(data["recipe"])
        if "ppo" in recipe:  # earlier revisions had one algorithm, and stored the name of a baseline as the memory
            recipe["arguments"] = recipe.pop("ppo")
            recipe["algorithm"], recipe["memory"] = algorithm_and_memory(None, data["memory"])
        recipe["arguments"] = {key: _schedule(value) for key, value in recipe["arguments"].items()}
        if recipe["algorithm"] not in ALGORITHMS:
            raise unknown_name("algorithm", recipe["algorithm"], ALGORITHMS)
        return cls(**{**known, "init": data.get("init"), "recipe": Recipe(**recipe)})


def algorithm_and_memory(algorithm: str | None, memory: str | None) -> tuple[str, str | None]:
    """Resolve the two options; the name of an algorithm may be given as the memory.

    :return: a name of the table of algorithms; the memory as given, None for an algorithm that takes none
    :raises UserError: for an unknown algorithm, and for a memory with an algorithm that takes none
    """
    if algorithm is None and memory in ALGORITHMS and memory not in MEMORIES:
        return str(memory), None
    if algorithm is None and memory is not None and memory not in MEMORIES and ":" not in memory:
        raise unknown_name("memory", memory, [*MEMORIES, *BASELINES])
    algorithm = OURS if algorithm is None else algorithm
    if algorithm not in ALGORITHMS:
        raise unknown_name("algorithm", algorithm, ALGORITHMS)
    if ALGORITHMS[algorithm].takes_memory or memory is None:
        return algorithm, memory
    raise UserError(f"the algorithm {algorithm} takes no memory, got the memory {memory}: leave one of them out")


def _plain(value: Any) -> Any:
    """Schedules as text, all else unchanged."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return str(value) if isinstance(value, Linear) else value


def _schedule(value: Any) -> Any:
    parsed = parse_value(value) if isinstance(value, str) else value
    return parsed if isinstance(parsed, Linear) else value


def resolve(
    config: TrainConfig,
    initial_run: tuple[Settings, bool] | None = None,
    spaces_found: tuple[spaces.Space, spaces.Space] | None = None,
) -> Settings:
    """The settings that follow from a config. Mistakes are refused before any file is created.

    :param initial_run: the settings of the run in ``config.init``, and whether it was trained on a dataset
    :param spaces_found: observation space and action space of the environment, if they are known
    :raises UserError: for a mistake, in one line
    """
    for name, smallest in _SMALLEST.items():
        value = getattr(config, name)
        if not (value is None and name in _OPTIONAL) and not (fits(value, int) and value >= smallest):
            raise UserError(f"{name} must be a whole number of at least {smallest}, got {value!r}")
    if config.seed >= 2**32:
        raise UserError(f"seed must be below 2**32, got {config.seed}")
    refuse_no_mappings(settings=config.settings, env_kwargs=config.env_kwargs)
    pick_device(config.device)
    if config.vec_env not in VEC_ENVS:
        raise unknown_name("vec_env", config.vec_env, VEC_ENVS)
    env_kwargs = dict(config.env_kwargs)
    for value in env_kwargs.values():
        format_value(value)  # refuses what config.json cannot hold
    try:
        env_id = resolve_id(config.env)
    except (ImportError, gym.error.Error) as error:
        raise UserError(f"cannot find the environment {config.env!r}: {error}") from error
    found = spaces_found or check_environment(env_id, env_kwargs)
    recipe, recipe_name = recipe_for(env_id, found[1])
    if initial_run is not None:
        recipe, recipe_name = _recipe_of_initial_run(initial_run, config, found, env_id), str(config.init)
    else:
        recipe = _with_method(config, recipe)
    recipe = _sized(apply_settings(recipe, recipe.memory, config.settings), config)
    same = ("seed", "device", "checkpoint_freq", "eval_freq", "eval_episodes", "vec_env", "threads")
    return Settings(
        env=env_id,
        env_kwargs=env_kwargs,
        recipe_name=recipe_name,
        recipe=recipe,
        init=None if config.init is None else str(config.init),
        **{name: getattr(config, name) for name in same},
    )


def _with_method(config: TrainConfig, recipe: Recipe) -> Recipe:
    """The recipe with the algorithm and the memory of the config, where they are given."""
    given = config.memory if config.memory is None or isinstance(config.memory, str) else memory_name(config.memory)
    algorithm, memory = algorithm_and_memory(config.algorithm, given)
    row = ALGORITHMS[algorithm]
    memory = memory_name(memory or recipe.memory or DEFAULT_MEMORY) if row.takes_memory else None
    frames = recipe.frame_stack if row.frame_stack == 1 else row.frame_stack
    return replace(recipe, algorithm=algorithm, memory=memory, frame_stack=frames)


def _recipe_of_initial_run(
    initial: tuple[Settings, bool], config: TrainConfig, found: tuple[spaces.Space, spaces.Space], env_id: str
) -> Recipe:
    """The recipe of the initial run, checked.

    :param found: observation space and action space of the new environment
    """
    settings, offline = initial
    if config.memory is not None or config.algorithm is not None:
        given = _with_method(config, settings.recipe)
        for kind, option in (("algorithm", "--algo"), ("memory", "--memory")):
            expected, got = getattr(settings, kind), getattr(given, kind)
            if got != expected:
                raise UserError(
                    f"the run {config.init} has the {kind} {expected}, got {got}: leave {option} out, or start with "
                    "another run"
                )
    learned = check_environment(settings.env, settings.env_kwargs)
    for kind, theirs, ours in zip(("observations", "actions"), learned, found, strict=True):
        if not same_form(theirs, ours):
            raise UserError(
                f"the agent of {config.init} doesn't fit {env_id}: it learned {settings.env} with {kind} "
                f"{describe_space(theirs)}, got {describe_space(ours)}; start with a run on the same spaces"
            )
    unchanged = settings.recipe.normalize_observations
    if config.settings.get("normalize_observations", unchanged) != unchanged:
        raise UserError(
            f"the agent of {config.init} has its own scale of observations: leave normalize_observations out"
        )
    if not offline:
        return settings.recipe
    # After imitation, a penalty on leaving the first policy.
    return replace(settings.recipe, arguments={"kickstart_coef": Linear(1.0), **settings.recipe.arguments})


def _sized(recipe: Recipe, config: TrainConfig) -> Recipe:
    """The recipe with the config's own n_timesteps and n_envs, which override those in ``settings``."""
    given = {name: getattr(config, name) for name in ("n_timesteps", "n_envs")}
    recipe = replace(recipe, **{name: value for name, value in given.items() if value is not None})
    for name in given:
        if getattr(recipe, name) < 1:
            raise UserError(f"{name} must be at least 1, got {getattr(recipe, name)}")
    return recipe


def refuse_no_mappings(**values: Any) -> None:
    """:raises UserError: if one of these named values is no mapping."""
    for name, value in values.items():
        if not isinstance(value, Mapping):
            raise UserError(f"{name} expects names and values, such as {{'a': 1}}, got {value!r}")

"""What a run was asked for (:class:`TrainConfig`) and what came of it (:class:`Settings`, kept in ``config.json``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
from gymnasium import spaces

from rl_larnn.agents.algorithms import ALGORITHMS, BASELINES, OURS
from rl_larnn.agents.settings.environments import check_environment
from rl_larnn.agents.settings.models import pick_device
from rl_larnn.agents.settings.overrides import apply_settings, fits
from rl_larnn.agents.settings.recipes import Recipe, recipe_for
from rl_larnn.agents.settings.values import Linear, format_value, parse_value
from rl_larnn.envs import resolve_id
from rl_larnn.envs.spaces import describe_space, same_form
from rl_larnn.errors import UserError, unknown_name
from rl_larnn.memories import DEFAULT_MEMORY, MEMORIES, memory_name
from rl_larnn.memory import Memory

VEC_ENVS = ("dummy", "subproc")


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What every run is told, online or from data. ``None`` leaves a choice to the recipe.

    :param seed: of the parameters, the actions and the environments
    :param device: ``auto``, ``cpu``, ``cuda`` or ``cuda:<index>``
    :param run_dir: folder to create; ``None``: ``runs/<environment or dataset>/<memory or algorithm>-s<seed>`` with the
        first free number behind
    :param settings: flat hyper-parameters over the recipe, see :mod:`rl_larnn.agents.settings.overrides`
    :param env_kwargs: keyword arguments of the environment
    :param checkpoint_freq: steps (or updates) after which a checkpoint is due, if 60 seconds have not passed before;
        ``None``: a tenth of the training
    :param eval_freq: steps (or updates) between evaluations; ``None``: a twentieth of an online training, a tenth of an
        offline one; 0: no evaluations, the last agent is the result
    :param eval_episodes: fresh episodes of the final evaluation
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
    """What to train online.

    :param env: any Gymnasium id, or one of ours in short (``CartPole-POMDP``)
    :param memory: a name of ``rl_larnn.memories.MEMORIES``, ``package.module:Class`` or a Memory subclass; the name of
        an algorithm that takes no memory is understood as ``algorithm``
    :param n_timesteps: environment steps, over all environments together
    :param n_envs: environments that run side by side
    :param vec_env: ``dummy`` (one process) or ``subproc`` (one process per environment)
    :param init: folder of a run, online or offline, whose weights and statistics the agent starts with; what it sees
        and what it is are then as in that run, and so are all settings that are not given
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
    """A run with every choice made: with the versions, all that is needed to repeat it. Fields as in the config."""

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
        """What runs are compared by."""
        return self.recipe.method

    def heading(self) -> str:
        """The run in one line."""
        kind = "algorithm" if self.memory is None else "memory"
        return f"{self.env} with {kind} {self.method}, seed {self.seed}, recipe {self.recipe_name}"

    def choices(self) -> dict[str, Any]:
        """Every hyper-parameter under the flat name by which it may be set."""
        recipe = self.recipe
        own = {item.name: getattr(recipe, item.name) for item in fields(Recipe)}
        for group in ("algorithm", "memory", "arguments", "policy", "for_memory"):
            del own[group]
        return {**own, **recipe.arguments, **recipe.policy, **recipe.memory_options}

    def to_json(self) -> dict[str, Any]:
        """Plain data. The environment's arguments become text, exactly as they may be typed after ``--env-kwargs``."""
        data = {item.name: getattr(self, item.name) for item in fields(self)}
        data["recipe"] = _plain({item.name: getattr(self.recipe, item.name) for item in fields(Recipe)})
        data["env_kwargs"] = {key: format_value(value) for key, value in self.env_kwargs.items()}
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Settings:
        """The inverse of :meth:`to_json`, also of what earlier revisions wrote; keys it does not know are ignored.

        :raises KeyError, TypeError: if something is missing
        """
        known = {item.name: data[item.name] for item in fields(cls) if item.name != "init"}
        known["env_kwargs"] = {key: parse_value(text) for key, text in data["env_kwargs"].items()}
        recipe = dict(data["recipe"])
        if "ppo" in recipe:  # earlier revisions knew one algorithm, and named baselines in the place of the memory
            recipe["arguments"] = recipe.pop("ppo")
            recipe["algorithm"], recipe["memory"] = algorithm_and_memory(None, data["memory"])
        recipe["arguments"] = {key: _schedule(value) for key, value in recipe["arguments"].items()}
        return cls(**{**known, "init": data.get("init"), "recipe": Recipe(**recipe)})


def algorithm_and_memory(algorithm: str | None, memory: str | None) -> tuple[str, str | None]:
    """The algorithm and the memory meant by what a person gave; an algorithm may stand in the place of a memory.

    :return: a name of the table of algorithms; the memory as given, None for an algorithm that takes none
    :raises UserError: for an unknown algorithm, and for a memory beside one that takes none
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


class InitialRun(NamedTuple):
    """The run whose weights an agent starts with.

    :param offline: whether it learned from a dataset
    """

    settings: Settings
    offline: bool


#: The coefficient of the penalty on leaving the first policy, for an agent that learned from data and goes on online.
AFTER_IMITATION = Linear(1.0)


def _plain(value: Any) -> Any:
    """Schedules as the text that the command line takes, all else unchanged."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return str(value) if isinstance(value, Linear) else value


def _schedule(value: Any) -> Any:
    parsed = parse_value(value) if isinstance(value, str) else value
    return parsed if isinstance(parsed, Linear) else value


def resolve(
    config: TrainConfig,
    initial_run: InitialRun | None = None,
    spaces_found: tuple[spaces.Space, spaces.Space] | None = None,
) -> Settings:
    """Make every choice that the config leaves open, and refuse what cannot work before anything is created.

    :param initial_run: the run that ``config.init`` names
    :param spaces_found: of observations and actions, if the environment has been looked at
    :raises UserError: for each mistake, on one line
    """
    _check_numbers(config)
    refuse_no_mappings(settings=config.settings, env_kwargs=config.env_kwargs)
    pick_device(config.device)
    if config.vec_env not in VEC_ENVS:
        raise unknown_name("vec_env", config.vec_env, VEC_ENVS)
    env_kwargs = dict(config.env_kwargs)
    for value in env_kwargs.values():
        format_value(value)  # refuses what config.json cannot hold
    env_id = _resolve_id(config.env)
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
    """The recipe with the algorithm and the memory of the config, or its own."""
    given = config.memory if config.memory is None or isinstance(config.memory, str) else memory_name(config.memory)
    algorithm, memory = algorithm_and_memory(config.algorithm, given)
    row = ALGORITHMS[algorithm]
    memory = memory_name(memory or recipe.memory or DEFAULT_MEMORY) if row.takes_memory else None
    frames = recipe.frame_stack if row.frame_stack == 1 else row.frame_stack
    return replace(recipe, algorithm=algorithm, memory=memory, frame_stack=frames)


def _recipe_of_initial_run(
    initial: InitialRun, config: TrainConfig, found: tuple[spaces.Space, spaces.Space], env_id: str
) -> Recipe:
    """The recipe of the run whose weights the agent starts with.

    :param found: observation space and action space of the environment that it will act in
    """
    settings = initial.settings
    if config.memory is not None or config.algorithm is not None:
        asked = _with_method(config, settings.recipe)
        if (asked.algorithm, asked.memory) != (settings.algorithm, settings.memory):
            kind, option = ("memory", "--memory") if asked.algorithm == settings.algorithm else ("algorithm", "--algo")
            raise UserError(
                f"the run {config.init} has the {kind} {getattr(settings, kind)}, got {getattr(asked, kind)}: leave "
                f"{option} out, or begin with another run"
            )
    learned = check_environment(settings.env, settings.env_kwargs)
    for kind, theirs, ours in zip(("observations", "actions"), learned, found, strict=True):
        if not same_form(theirs, ours):
            raise UserError(
                f"the agent of {config.init} doesn't fit {env_id}: it learned {settings.env} with {kind} "
                f"{describe_space(theirs)}, got {describe_space(ours)}; begin with a run on the same spaces"
            )
    asked = config.settings.get("normalize_observations", settings.recipe.normalize_observations)
    if asked != settings.recipe.normalize_observations:
        raise UserError(
            f"the agent of {config.init} has its own scale of observations: leave normalize_observations out"
        )
    if not initial.offline:
        return settings.recipe
    return replace(settings.recipe, arguments={"kickstart_coef": AFTER_IMITATION, **settings.recipe.arguments})


def _resolve_id(name: str) -> str:
    try:
        return resolve_id(name)
    except (ImportError, gym.error.Error) as error:
        raise UserError(f"cannot find the environment {name!r}: {error}") from error


def _sized(recipe: Recipe, config: TrainConfig) -> Recipe:
    """The recipe with the config's own n_timesteps and n_envs, which go before those of ``settings``."""
    n_timesteps = recipe.n_timesteps if config.n_timesteps is None else config.n_timesteps
    n_envs = recipe.n_envs if config.n_envs is None else config.n_envs
    for name, value in {"n_timesteps": n_timesteps, "n_envs": n_envs}.items():
        if value < 1:
            raise UserError(f"{name} must be at least 1, got {value}")
    return replace(recipe, n_timesteps=n_timesteps, n_envs=n_envs)


def refuse_no_mappings(**values: Any) -> None:
    """:raises UserError: if one of these, by name, is no mapping of names to values."""
    for name, value in values.items():
        if not isinstance(value, Mapping):
            raise UserError(f"{name} expects names and values, such as {{'a': 1}}, got {value!r}")


def _check_numbers(config: TrainConfig) -> None:
    least = {"seed": 0, "n_timesteps": 1, "n_envs": 1, "checkpoint_freq": 1, "eval_freq": 0, "eval_episodes": 1}
    least["threads"] = 1
    for name, smallest in least.items():
        value = getattr(config, name)
        if value is None and name in ("n_timesteps", "n_envs", "checkpoint_freq", "eval_freq"):
            continue
        if not fits(value, int) or value < smallest:
            raise UserError(f"{name} must be a whole number of at least {smallest}, got {value!r}")
    if config.seed >= 2**32:
        raise UserError(f"seed must be below 2**32, got {config.seed}")

"""The options of an offline run (:class:`OfflineConfig`) and its settings (:class:`OfflineSettings`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym

from rl_larnn.agents.algorithms import BASELINES
from rl_larnn.agents.offline.plan import OfflinePlan, split_settings
from rl_larnn.agents.offline.recipes import offline_recipe
from rl_larnn.agents.runs.folder import OFFLINE, initial_run, reading_config, was_offline
from rl_larnn.agents.settings.config import RunConfig, Settings, TrainConfig, refuse_no_mappings, resolve
from rl_larnn.agents.settings.environments import check_environment
from rl_larnn.agents.settings.values import format_value, parse_value
from rl_larnn.envs import datasets, resolve_id
from rl_larnn.envs.datasets import Dataset, DatasetError, References, ReturnRange
from rl_larnn.envs.spaces import is_vector
from rl_larnn.envs.wrappers.cues import action_cue_space
from rl_larnn.errors import UserError
from rl_larnn.memories import DEFAULT_MEMORY, memory_name
from rl_larnn.memory import Memory


@dataclass(frozen=True)
class OfflineConfig(RunConfig):
    """The options of offline training. ``None`` leaves a choice to the recipe.

    ``settings`` override the plan (:class:`rl_larnn.agents.offline.OfflinePlan`) and the recipe; a name of both, such
    as ``batch_size``, is one of the plan. ``env_kwargs`` override those in the dataset.

    :param dataset: id in Minari's store, with or without its version, or the path of a D4RL file
    :param memory: a name of ``rl_larnn.memories.MEMORIES``, ``package.module:Class`` or a Memory subclass
    :param target_return: the return that the agent is conditioned on; ``None``: that of the expert (a normalised score
        of 100), or the highest in the data if that is lower or no expert is known
    :param clone: behaviour cloning, without a target return
    :param best: share of the steps to learn from, those of the episodes with the highest returns
    :param env: where the agent will act; ``None``: the environment of the dataset
    :param updates: steps of the optimiser
    :param download: download a dataset of Minari that is not in the local store
    """

    dataset: str | Path
    memory: str | type[Memory] | None = None
    target_return: float | None = None
    clone: bool = False
    best: float | None = None
    env: str | None = None
    updates: int | None = None
    download: bool = False


class DataFacts(NamedTuple):
    """The part of a dataset that a run stores.

    :param references: the returns with normalised scores 0 and 100
    :param fingerprint: identifies the content
    """

    returns: ReturnRange
    references: References | None
    fingerprint: str


@dataclass(frozen=True)
class OfflineSettings:
    """The complete settings of an offline run, as ``config.json`` holds them.

    :param run: the settings of the agent and the environment, as of an online run
    :param dataset: permanent name of the dataset
    """

    run: Settings
    dataset: str
    plan: OfflinePlan
    facts: DataFacts

    def heading(self) -> str:
        """A title of one line."""
        return f"{self.dataset} with memory {self.run.memory}, seed {self.run.seed}, for {self.run.env}"

    def choices(self) -> dict[str, Any]:
        """The plan, the cues, and the options of policy and memory."""
        recipe = self.run.recipe
        cues = {key: getattr(recipe, key) for key in ("target_return", "previous_action", "step_number")}
        options = {**recipe.policy, **recipe.memory_options}
        return {**asdict(self.plan), "learning_rate": self.plan.learning_rate, **cues, **options}

    def to_json(self) -> dict[str, Any]:
        """Plain data: that of an online run, with one more key."""
        plan = {**asdict(self.plan), "learning_rate": format_value(self.plan.learning_rate)}
        return {**self.run.to_json(), OFFLINE: {"dataset": self.dataset, "plan": plan, "facts": self.facts}}

    @classmethod
    def from_json(cls, run: Settings, data: Mapping[str, Any]) -> OfflineSettings:
        """The inverse of :meth:`to_json`.

        :param data: the value of that key
        :raises KeyError, TypeError: if a field is missing
        """
        plan = OfflinePlan(**{**data["plan"], "learning_rate": parse_value(data["plan"]["learning_rate"])})
        returns, references, fingerprint = data["facts"]
        references = None if references is None else References(*references)
        return cls(run, data["dataset"], plan, DataFacts(ReturnRange(*returns), references, fingerprint))


class ResolvedOffline(NamedTuple):
    """The settings of an offline run, its dataset, and warnings of one line each."""

    settings: OfflineSettings
    warnings: list[str]
    dataset: Dataset


def load_data(settings: OfflineSettings) -> Dataset:
    """The dataset of a run.

    :raises DatasetError: if it is missing or damaged, or has changed since the start of the run
    """
    run = settings.run
    dataset = _load(settings.dataset, run.env, run.env_kwargs)
    dataset = datasets.with_spaces_of(dataset, *check_environment(run.env, run.env_kwargs))
    if dataset.fingerprint != settings.facts.fingerprint:
        raise DatasetError(f"the dataset {settings.dataset} has changed since the run started: start a new one")
    return datasets.best_episodes(dataset, settings.plan.best) if settings.plan.best < 1 else dataset


def _load(name: str | Path, env_id: str | None, env_kwargs: Mapping[str, Any], download: bool = False) -> Dataset:
    """A dataset; in a file without timeouts, episodes end at the environment's limit of steps."""
    limit = None if env_id is None else gym.spec(resolve_id(env_id).rpartition(":")[2]).max_episode_steps
    if isinstance(given := env_kwargs.get("max_episode_steps"), int):
        limit = given if given > 0 else None  # Gymnasium's -1 is no limit
    return datasets.load_cached(name, download=download, max_episode_steps=limit)


def resolve_offline(config: OfflineConfig) -> ResolvedOffline:
    """The settings that follow from a config. Mistakes are refused before any file is created.

    :raises UserError, DatasetError: for a mistake, in one line
    """
    _check(config)
    named = None if config.env is None else resolve_id(config.env)
    dataset = _load(config.dataset, named, config.env_kwargs, config.download).check()
    env_id, env_kwargs = _environment(config, named, dataset)
    found = check_environment(env_id, env_kwargs)
    dataset = datasets.with_spaces_of(dataset, *found)
    datasets.check_environment_fits(dataset, *found, env_id)
    memory = memory_name(config.memory or DEFAULT_MEMORY)
    recipe, plan = offline_recipe(env_id, memory, int(dataset.columns.lengths.max()))
    plan, settings = _planned(config, plan)
    target = None if config.clone else config.target_return
    if not config.clone and target is None:
        highest = float(dataset.returns.max())
        target = highest if dataset.references is None else min(highest, dataset.references.maximum)
    shown = {**_cues(memory, target, dataset), **recipe}
    settings = {**shown, **_as_published(memory, dataset, {**shown, **settings}, plan), **settings}
    same = {item.name: getattr(config, item.name) for item in fields(RunConfig)}
    options = {**same, "env_kwargs": env_kwargs, "settings": settings}
    run = resolve(TrainConfig(env_id, memory, **options), spaces_found=found)
    if run.recipe.frame_stack != 1:
        raise UserError(f"offline learning shows one observation at a time, got frame_stack={run.recipe.frame_stack}")
    facts = DataFacts(ReturnRange.of(dataset), dataset.references, dataset.fingerprint)
    far = None if target is None else datasets.target_warning(dataset.name, facts.returns, target)
    warnings = [warning for warning in (far, datasets.actions_warning(dataset, found[1])) if warning is not None]
    resolved = OfflineSettings(run, datasets.permanent_name(dataset.name), plan, facts)
    return ResolvedOffline(resolved, warnings, datasets.best_episodes(dataset, plan.best) if plan.best < 1 else dataset)


def _planned(config: OfflineConfig, plan: OfflinePlan) -> tuple[OfflinePlan, dict[str, Any]]:
    """The plan with the options and settings of the config, and the settings of the recipe."""
    own = {"updates": config.updates, "best": config.best}
    planned, settings = split_settings(config.settings)
    for key, value in own.items():
        if value is not None and key in planned:
            raise UserError(f"{key} is given twice, as {value} and as the setting {planned[key]}: leave one out")
    return replace(plan, **{key: value for key, value in {**planned, **own}.items() if value is not None}), settings


def _check(config: OfflineConfig) -> None:
    """:raises UserError: for a mistake that can be found without the data."""
    if not isinstance(config.dataset, str | Path):
        hint = "; pass its name" if isinstance(config.dataset, Dataset) else ""
        raise UserError(f"dataset expects an id or a path, got {type(config.dataset).__name__}{hint}")
    refuse_no_mappings(settings=config.settings, env_kwargs=config.env_kwargs)
    if config.memory in BASELINES:
        raise UserError(f"offline learning takes a memory, got the baseline {config.memory!r}; without memory: none")
    if config.clone and config.target_return is not None:
        raise UserError(f"cloning has no target return: leave out clone or target_return={config.target_return:g}")
    if "target_return" in config.settings:
        raise UserError("target_return is no setting but an option of its own (--target-return; none with --clone)")


def _cues(memory: str, target: float | None, dataset: Dataset) -> dict[str, Any]:
    """The cues of a Decision Transformer, in addition to the observation."""
    # For an agent without memory, the previous action would be a memory.
    cues: dict[str, Any] = {"previous_action": memory != "none", "target_return": target}
    return cues if target is None else {**cues, "step_number": int(dataset.columns.lengths.max())}


def _as_published(memory: str, dataset: Dataset, shown: Mapping[str, Any], plan: OfflinePlan) -> dict[str, Any]:
    """For a Transformer the options of the Decision Transformer: a window, and tokens of observation, action, return.

    :param shown: settings, with the cues
    """
    if memory != "transformer":
        return {}
    options: dict[str, Any] = {"context": plan.seq_len} if plan.batches == "windows" else {}
    if is_vector(dataset.observation_space):
        action = sum(action_cue_space(dataset.action_space).shape) if shown["previous_action"] else 0
        action += bool(shown.get("first_step_flag"))
        # The return-to-go and the time share a token.
        wanted = sum(shown.get(cue) is not None for cue in ("target_return", "step_number"))
        options["tokens"] = [size for size in (*dataset.observation_space.shape, action, wanted) if size]
    return options


def _environment(config: OfflineConfig, named: str | None, dataset: Dataset) -> tuple[str, dict[str, Any]]:
    """Id and arguments of the environment that the agent will act in."""
    if named is None and dataset.env_id is None:
        raise UserError(f"the dataset {dataset.name} doesn't say where it was collected: name the environment (--env)")
    env_id = named or resolve_id(str(dataset.env_id))
    known = dataset.env_kwargs if env_id == dataset.env_id else {}
    return env_id, {**known, **config.env_kwargs}


def load_offline_settings(folder: Path) -> OfflineSettings:
    """The settings of an offline run.

    :raises UserError: if there is no run, it was trained online, or its ``config.json`` is damaged
    """
    run, offline = initial_run(folder)
    if not offline:
        raise UserError(f"{folder} was trained online: continue it with train_agent.py --resume {folder}")
    with reading_config(folder) as data:
        return OfflineSettings.from_json(run, data[OFFLINE])


def data_facts(folder: Path) -> DataFacts | None:
    """The stored facts of the dataset of an offline run; None for an online run."""
    return load_offline_settings(folder).facts if was_offline(folder) else None

"""What an offline run was asked for (:class:`OfflineConfig`) and what came of it (:class:`OfflineSettings`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym

from rl_larnn.agents.algorithms import BASELINES
from rl_larnn.agents.offline.plan import OfflinePlan, split_settings
from rl_larnn.agents.offline.recipes import offline_recipe
from rl_larnn.agents.runs.folder import CONFIG, OFFLINE, load_settings, was_offline
from rl_larnn.agents.settings.config import RunConfig, Settings, TrainConfig, refuse_no_mappings, resolve
from rl_larnn.agents.settings.environments import check_environment
from rl_larnn.agents.settings.values import format_value, parse_value
from rl_larnn.envs import resolve_id
from rl_larnn.envs.datasets import (
    Dataset,
    DatasetError,
    References,
    ReturnRange,
    actions_warning,
    best_episodes,
    check_environment_fits,
    load_cached,
    permanent_name,
    target_warning,
    with_spaces_of,
)
from rl_larnn.envs.spaces import is_vector
from rl_larnn.envs.wrappers.cues import action_cue_space
from rl_larnn.errors import UserError, one_line
from rl_larnn.files import read_json
from rl_larnn.memories import DEFAULT_MEMORY, memory_name
from rl_larnn.memory import Memory


@dataclass(frozen=True)
class OfflineConfig(RunConfig):
    """What to learn from, and how. ``None`` leaves the choice to the recipe.

    ``settings`` are laid over the plan (:class:`rl_larnn.agents.offline.OfflinePlan`) and over the recipe; the plan's
    come first where both know a name, as ``batch_size``. ``env_kwargs`` are laid over those that the dataset names.

    :param dataset: id in Minari's store, with or without its version, or the path of a D4RL file
    :param memory: a name of ``rl_larnn.memories.MEMORIES``, ``package.module:Class`` or a Memory subclass
    :param target_return: the return that will be asked for; ``None``: that of the expert, which counts as 100, or the
        highest of the data where that is lower or nobody knows an expert's
    :param clone: ask for no return: imitate the episodes as they are
    :param best: share of the steps to learn from, those of the episodes of the highest returns
    :param env: where the agent will act; ``None``: the environment that the dataset names
    :param updates: steps of the optimiser
    :param download: fetch a dataset of Minari's that is not here
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
    """What is known of the data without opening them.

    :param references: what counts as 0 and as 100
    :param fingerprint: tells whether they are still the same
    """

    returns: ReturnRange
    references: References | None
    fingerprint: str

    @classmethod
    def of(cls, dataset: Dataset) -> DataFacts:
        """The facts of a dataset."""
        return cls(ReturnRange.of(dataset), dataset.references, dataset.fingerprint)

    @classmethod
    def from_json(cls, data: Sequence[Any]) -> DataFacts:
        """From a list of lists."""
        returns, references, fingerprint = data
        return cls(ReturnRange(*returns), None if references is None else References(*references), fingerprint)


@dataclass(frozen=True)
class OfflineSettings:
    """An offline run with every choice made.

    :param run: what the agent is and where it acts, as of an online run
    :param dataset: what it learns from
    :param plan: how
    :param facts: of the dataset
    """

    run: Settings
    dataset: str
    plan: OfflinePlan
    facts: DataFacts

    def heading(self) -> str:
        """The run in one line."""
        return f"{self.dataset} with memory {self.run.memory}, seed {self.run.seed}, for {self.run.env}"

    def choices(self) -> dict[str, Any]:
        """Every number of the training, what the agent sees, and the options of its policy and memory."""
        recipe = self.run.recipe
        cues = {key: getattr(recipe, key) for key in ("target_return", "previous_action", "step_number")}
        options = {**recipe.policy, **recipe.memory_options}
        return {**asdict(self.plan), "learning_rate": self.plan.learning_rate, **cues, **options}

    def to_json(self) -> dict[str, Any]:
        """Plain data: that of an online run, so that all that reads runs reads this one too, and ``offline`` beside."""
        plan = {**asdict(self.plan), "learning_rate": format_value(self.plan.learning_rate)}
        return {**self.run.to_json(), OFFLINE: {"dataset": self.dataset, "plan": plan, "facts": self.facts}}

    @classmethod
    def from_json(cls, run: Settings, data: Mapping[str, Any]) -> OfflineSettings:
        """The inverse of :meth:`to_json`.

        :param data: what is kept under ``offline``
        :raises KeyError, TypeError: if something is missing
        """
        plan = {**data["plan"], "learning_rate": parse_value(data["plan"]["learning_rate"])}
        return cls(run, data["dataset"], OfflinePlan(**plan), DataFacts.from_json(data["facts"]))


class ResolvedOffline(NamedTuple):
    """An offline run with every choice made.

    :param warnings: one line each
    :param dataset: what it learns from, opened
    """

    settings: OfflineSettings
    warnings: list[str]
    dataset: Dataset


def load_data(settings: OfflineSettings) -> Dataset:
    """What a run learns from.

    :raises DatasetError: if it is gone or damaged, or another than when the run began
    """
    run = settings.run
    dataset = _load(settings.dataset, run.env, run.env_kwargs)
    dataset = with_spaces_of(dataset, *check_environment(run.env, run.env_kwargs))
    if dataset.fingerprint != settings.facts.fingerprint:
        raise DatasetError(f"the dataset {settings.dataset} has changed since the run began: begin a new one")
    return _best(dataset, settings.plan)


def _best(dataset: Dataset, plan: OfflinePlan) -> Dataset:
    return dataset if plan.best == 1 else best_episodes(dataset, plan.best)


def _load(name: str | Path, env_id: str | None, env_kwargs: Mapping[str, Any], download: bool = False) -> Dataset:
    """A dataset; episodes of a file without timeouts end at the environment's limit of steps."""
    limit = None
    if env_id is not None:
        limit = gym.spec(resolve_id(env_id).rpartition(":")[2]).max_episode_steps
    if isinstance(asked := env_kwargs.get("max_episode_steps"), int):
        limit = asked if asked > 0 else None  # Gymnasium's -1 is no limit
    return load_cached(name, download=download, max_episode_steps=limit)


def resolve_offline(config: OfflineConfig) -> ResolvedOffline:
    """Make every choice that is open, and refuse what cannot work before anything is created.

    :raises UserError, DatasetError: for each mistake, on one line
    """
    _refuse_mistakes(config)
    named = None if config.env is None else resolve_id(config.env)
    dataset = _load(config.dataset, named, config.env_kwargs, config.download).check()
    env_id, env_kwargs = _environment(config, named, dataset)
    found = check_environment(env_id, env_kwargs)
    dataset = with_spaces_of(dataset, *found)
    check_environment_fits(dataset, *found, env_id)
    memory = memory_name(config.memory or DEFAULT_MEMORY)
    recipe, plan = offline_recipe(env_id, memory, int(dataset.columns.lengths.max()))
    plan, settings = _planned(config, plan)
    target = None if config.clone else config.target_return
    if not config.clone and target is None:
        target = _default_target(dataset)
    shown = {**_cues(memory, target, dataset), **recipe}
    settings = {**shown, **_as_published(memory, dataset, {**shown, **settings}, plan), **settings}
    same = {item.name: getattr(config, item.name) for item in fields(RunConfig)}
    asked = {**same, "env_kwargs": env_kwargs, "settings": settings}
    run = resolve(TrainConfig(env_id, memory, **asked), spaces_found=found)
    if run.recipe.frame_stack != 1:
        raise UserError(f"offline learning shows one observation at a time, got frame_stack={run.recipe.frame_stack}")
    facts = DataFacts.of(dataset)
    far = None if target is None else target_warning(dataset.name, facts.returns, target)
    warnings = [warning for warning in (far, actions_warning(dataset, found[1])) if warning is not None]
    return ResolvedOffline(
        OfflineSettings(run, permanent_name(dataset.name), plan, facts), warnings, _best(dataset, plan)
    )


def _planned(config: OfflineConfig, plan: OfflinePlan) -> tuple[OfflinePlan, dict[str, Any]]:
    """The plan with what the config says of it, and the settings that are left for the recipe."""
    own = {"updates": config.updates, "best": config.best}
    planned, settings = split_settings(config.settings)
    for key, value in own.items():
        if value is not None and key in planned:
            raise UserError(f"{key} is given twice, as {value} and as the setting {planned[key]}: leave one out")
    return replace(plan, **{key: value for key, value in {**planned, **own}.items() if value is not None}), settings


def _refuse_mistakes(config: OfflineConfig) -> None:
    """What needs no look at the data."""
    _refuse_other_types(config)
    if config.memory in BASELINES:
        raise UserError(f"offline learning takes a memory, got the baseline {config.memory!r}; without memory: none")
    if config.clone and config.target_return is not None:
        raise UserError(f"cloning asks for no return: leave out clone or target_return={config.target_return:g}")
    if "target_return" in config.settings:
        raise UserError("target_return is no setting but an option of its own (--target-return; --clone asks for none)")


def _refuse_other_types(config: OfflineConfig) -> None:
    if not isinstance(config.dataset, str | Path):
        hint = "; pass its name" if isinstance(config.dataset, Dataset) else ""
        raise UserError(f"dataset expects an id or a path, got {type(config.dataset).__name__}{hint}")
    refuse_no_mappings(settings=config.settings, env_kwargs=config.env_kwargs)


def _default_target(dataset: Dataset) -> float:
    """Default target: the expert's mean return, capped by the best in the data."""
    highest = float(dataset.returns.max())
    return highest if dataset.references is None else min(highest, dataset.references.maximum)


def _cues(memory: str, target: float | None, dataset: Dataset) -> dict[str, Any]:
    """What an agent sees beside the observation: what a Decision Transformer sees."""
    # To an agent without memory, its previous action would be one.
    cues: dict[str, Any] = {"previous_action": memory != "none", "target_return": target}
    return cues if target is None else {**cues, "step_number": int(dataset.columns.lengths.max())}


def _as_published(memory: str, dataset: Dataset, shown: Mapping[str, Any], plan: OfflinePlan) -> dict[str, Any]:
    """A Transformer as in the Decision Transformer: a window back, and tokens for observation, action and return.

    :param shown: settings, which may leave out some of these
    """
    if memory != "transformer":
        return {}
    options: dict[str, Any] = {"context": plan.seq_len} if plan.batches == "windows" else {}
    if is_vector(dataset.observation_space):
        action = sum(action_cue_space(dataset.action_space).shape) if shown["previous_action"] else 0
        action += bool(shown.get("first_step_flag"))
        # The return that is still to come goes with the time.
        wanted = sum(shown.get(cue) is not None for cue in ("target_return", "step_number"))
        options["tokens"] = [size for size in (*dataset.observation_space.shape, action, wanted) if size]
    return options


def _environment(config: OfflineConfig, named: str | None, dataset: Dataset) -> tuple[str, dict[str, Any]]:
    """Id and arguments of the environment where the agent will act."""
    if named is None and dataset.env_id is None:
        raise UserError(f"the dataset {dataset.name} doesn't say where it was collected: name the environment (--env)")
    env_id = named or resolve_id(str(dataset.env_id))
    known = dataset.env_kwargs if env_id == dataset.env_id else {}
    return env_id, {**known, **config.env_kwargs}


def load_offline_settings(folder: Path) -> OfflineSettings:
    """The settings of an offline run.

    :raises UserError: if there is no run there, it was trained online, or its ``config.json`` is damaged
    """
    run = load_settings(folder)
    data = read_json(folder / CONFIG, "the settings of a run")
    if OFFLINE not in data:
        raise UserError(f"{folder} was trained online: continue it with train_agent.py --resume {folder}")
    try:
        return OfflineSettings.from_json(run, data[OFFLINE])
    except (KeyError, TypeError, AttributeError, UserError) as error:
        raise UserError(
            f"cannot read {folder / CONFIG}: expected the settings of a run, got a foreign file ({one_line(error)})"
        ) from error


def data_facts(folder: Path) -> DataFacts | None:
    """What a run knows of its data, or None of a run that was trained online."""
    return load_offline_settings(folder).facts if was_offline(folder) else None

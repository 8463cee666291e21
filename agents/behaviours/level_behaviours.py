"""The behaviours for a level: random, medium and expert, scripted, trained or loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rl_larnn.agents.behaviours.config import SCRIPTED, CollectConfig, CollectionEnv
from rl_larnn.agents.behaviours.folder import EXPERT, MEDIUM, REPLAY, TrainedBehaviour, read_behaviour
from rl_larnn.agents.behaviours.recipes import behaviour_recipe
from rl_larnn.agents.behaviours.saved_agents import load_agent
from rl_larnn.agents.behaviours.training import train_behaviour
from rl_larnn.agents.reporting.reporter import Reporter
from rl_larnn.envs.datasets import Behaviour, Dataset, References, open_dataset, random_behaviour, scripted_behaviour
from rl_larnn.errors import UserError


@dataclass(frozen=True)
class Behaviours:
    """The behaviours from which a level is collected.

    :param replay: the training episodes up to medium
    :param references: mean returns of random play and of the expert, if they have been measured already
    :param record: plain data about them, for the metadata
    """

    random: Behaviour
    expert: Behaviour
    medium: Behaviour | None = None
    replay: Dataset | None = None
    references: References | None = None
    record: Mapping[str, Any] = field(default_factory=dict)


def find_behaviours(config: CollectConfig, env: CollectionEnv, reporter: Reporter) -> Behaviours:
    """Find the behaviours for a level; one is trained if need be.

    :raises UserError: if one is missing or doesn't fit
    """
    made = env.make()
    scripted, random = scripted_behaviour(made), random_behaviour(made.action_space, config.seed)
    made.close()
    if config.agent == SCRIPTED or (config.agent is None and scripted is not None):
        return _scripted(config, scripted, random, env)
    trained = _trained(config, env, reporter)
    if trained is None:
        return _from_agents(random, config, env)
    if config.expert is not None:
        raise UserError(f"{config.agent} brings an expert of its own: leave --expert out")
    return _from_training(trained, random, config, env)


def _scripted(config: CollectConfig, scripted: Behaviour | None, random: Behaviour, env: CollectionEnv) -> Behaviours:
    if scripted is None:
        raise UserError(
            f"there is no scripted behaviour for {env.env_id}, only for T-Maze, RepeatFirst and "
            "RepeatPrevious: leave --agent out, or name a saved agent"
        )
    if config.level.startswith("medium"):
        raise UserError(
            f"the behaviour of {env.env_id} is scripted unless --agent names another, and never {config.level}: use "
            "--level mixed with --quality, random or expert"
        )
    if config.deterministic or config.n_timesteps is not None:
        raise UserError("a scripted behaviour is perfect and never trained: leave out deterministic and n_timesteps")
    return Behaviours(random, scripted)


def _trained(config: CollectConfig, env: CollectionEnv, reporter: Reporter) -> TrainedBehaviour | None:
    """The named behaviour folder, or the one that is kept for this environment, trained now if need be."""
    named = None if config.agent is None else read_behaviour(config.agent)
    if config.agent is not None and named is None:
        return None
    if config.reference_episodes is not None and not config.deterministic:
        raise UserError("the references come with a behaviour's training: leave out reference_episodes")
    if named is not None:
        return named
    recipe = behaviour_recipe(env.plain_id, env.spaces()[1])
    if config.n_timesteps is not None:
        recipe = replace(recipe, n_timesteps=config.n_timesteps)
    # Only the same training has this name.
    name = f"behaviour-{recipe.algorithm}-{recipe.n_timesteps}-s{config.seed}"
    folder = Path("runs") / env.title(env.plain_id, version=True) / name
    found = read_behaviour(folder)
    if found is not None:
        return found
    reporter.message(f"training a behaviour that sees everything for {recipe.n_timesteps} steps, once, into {folder}")
    return train_behaviour(env, recipe, folder, config.seed, config.device, reporter)


def _from_training(
    trained: TrainedBehaviour, random: Behaviour, config: CollectConfig, env: CollectionEnv
) -> Behaviours:
    learned = trained.record.get("env"), trained.record.get("env_kwargs", {})
    if learned != (env.plain_id, dict(env.env_kwargs)):
        raise UserError(
            f"the behaviour in {trained.folder} was trained on {_with_arguments(*learned)}, and its returns are no "
            f"scale for {_with_arguments(env.plain_id, env.env_kwargs)}: name its {EXPERT} instead, or leave "
            "--agent out"
        )
    expert, medium = (_agent(trained.folder / name, config, env) for name in (EXPERT, MEDIUM))
    keys = ("algorithm", "n_timesteps", "seed", "expert_steps", "medium_steps")
    record: dict[str, Any] = {"trained": {key: trained.record.get(key) for key in keys}}
    # The references are of sampled actions; those of others have to be measured.
    references = None if config.deterministic else trained.references
    if references is not None:
        record["reference_episodes"] = trained.record.get("reference_episodes")
    return Behaviours(random, expert, medium, open_dataset(trained.folder / REPLAY), references, record)


def _with_arguments(env_id: object, arguments: Mapping[str, Any]) -> str:
    return f"{env_id}({', '.join(f'{key}={value}' for key, value in arguments.items())})" if arguments else f"{env_id}"


def _from_agents(random: Behaviour, config: CollectConfig, env: CollectionEnv) -> Behaviours:
    assert config.agent is not None
    if config.level == "medium-replay":
        raise UserError(
            f"{config.agent} keeps no episodes of its training: leave --agent out, and a behaviour is trained that does"
        )
    if not config.level.startswith("medium"):
        return Behaviours(random, _agent(config.agent, config, env))
    if config.expert is None:
        raise UserError(
            f"{config.level} needs the expert beside the medium agent {config.agent}, for the return that counts as "
            "100: name it with --expert, or leave --agent out, and a behaviour is trained"
        )
    return Behaviours(random, _agent(config.expert, config, env), _agent(config.agent, config, env))


def _agent(path: str | Path, config: CollectConfig, env: CollectionEnv) -> Behaviour:
    return load_agent(path, config.device).behaviour(env.make, env.mask, config.deterministic)

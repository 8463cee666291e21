"""Who plays which part: random, medium and expert, from what a person gave."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rl_larnn.agents.behaviours.config import SCRIPTED, CollectConfig, Stage
from rl_larnn.agents.behaviours.recipes import behaviour_recipe
from rl_larnn.agents.behaviours.saved_agents import load_agent
from rl_larnn.agents.behaviours.training import EXPERT, MEDIUM, REPLAY, Trained, read_behaviour, train_behaviour
from rl_larnn.envs.datasets import Behaviour, Dataset, References, open_dataset, random_behaviour, scripted_behaviour
from rl_larnn.errors import UserError

#: Told that a behaviour will be trained, in which folder and for how many steps.
Announce = Callable[[Path, int], None]


@dataclass(frozen=True)
class Cast:
    """The parts that are filled.

    :param replay: the episodes of a training up to medium
    :param references: mean returns of random play and of the expert, where they have been measured already
    :param record: plain data about all of them
    """

    random: Behaviour
    expert: Behaviour
    medium: Behaviour | None = None
    replay: Dataset | None = None
    references: References | None = None
    record: Mapping[str, Any] = field(default_factory=dict)


def find_cast(config: CollectConfig, stage: Stage, announce: Announce) -> Cast:
    """The behaviours for a level.

    :raises UserError: if one is missing or doesn't fit
    """
    env = stage.make()
    scripted, random = scripted_behaviour(env), random_behaviour(env.action_space, config.seed)
    env.close()
    if config.agent == SCRIPTED or (config.agent is None and scripted is not None):
        return _scripted(config, scripted, random, stage)
    trained = _trained(config, stage, announce)
    if trained is not None and config.expert is not None:
        raise UserError(f"{config.agent} brings an expert of its own: leave --expert out")
    if trained is not None:
        return _from_training(trained, random, config, stage)
    return _from_agents(random, config, stage)


def _scripted(config: CollectConfig, scripted: Behaviour | None, random: Behaviour, stage: Stage) -> Cast:
    if scripted is None:
        raise UserError(
            f"no perfect behaviour is written down for {stage.env_id}, only for T-Maze, RepeatFirst and "
            "RepeatPrevious: leave --agent out, or name a saved one"
        )
    if config.level.startswith("medium"):
        raise UserError(
            f"the behaviour of {stage.env_id} is scripted unless --agent names another, and never {config.level}: use "
            "--level mixed with --quality, random or expert"
        )
    if config.deterministic or config.n_timesteps is not None:
        raise UserError("a scripted behaviour is perfect and never trained: leave out deterministic and n_timesteps")
    return Cast(random, scripted)


def _trained(config: CollectConfig, stage: Stage, announce: Announce) -> Trained | None:
    """The behaviour folder that was named, or the one that is kept for this environment, trained now if need be."""
    named = None if config.agent is None else read_behaviour(config.agent)
    if config.agent is not None and named is None:
        return None
    if config.reference_episodes is not None and not config.deterministic:
        raise UserError("the references come with a behaviour's training: leave out reference_episodes")
    if named is not None:
        return named
    env = stage.make()
    recipe = behaviour_recipe(stage.plain_id, env.action_space)
    env.close()
    if config.n_timesteps is not None:
        recipe = replace(recipe, n_timesteps=config.n_timesteps)
    # Nothing but the same training has this name.
    name = f"behaviour-{recipe.algorithm}-{recipe.n_timesteps}-s{config.seed}"
    folder = Path("runs") / stage.title(stage.plain_id, version=True) / name
    found = read_behaviour(folder)
    if found is not None:
        return found
    announce(folder, recipe.n_timesteps)
    return train_behaviour(
        stage.make,
        stage.plain_id,
        stage.env_kwargs,
        recipe,
        folder,
        config.seed,
        config.device,
        config.progress_bar,
    )


def _from_training(trained: Trained, random: Behaviour, config: CollectConfig, stage: Stage) -> Cast:
    learned = trained.record.get("env"), trained.record.get("env_kwargs", {})
    if learned != (stage.plain_id, dict(stage.env_kwargs)):
        raise UserError(
            f"the behaviour in {trained.folder} was trained on {_with_arguments(*learned)}, and its returns are no "
            f"scale for {_with_arguments(stage.plain_id, stage.env_kwargs)}: name its {EXPERT} instead, or leave "
            "--agent out"
        )
    expert, medium = (_agent(trained.folder / name, config, stage) for name in (EXPERT, MEDIUM))
    keys = ("algorithm", "n_timesteps", "seed", "expert_steps", "medium_steps")
    record: dict[str, Any] = {"trained": {key: trained.record.get(key) for key in keys}}
    # The references are of sampled actions; those of others have to be measured.
    references = None if config.deterministic else trained.references
    if references is not None:
        record["reference_episodes"] = trained.record.get("reference_episodes")
    return Cast(random, expert, medium, open_dataset(trained.folder / REPLAY), references, record)


def _with_arguments(env_id: object, arguments: Mapping[str, Any]) -> str:
    return f"{env_id}({', '.join(f'{key}={value}' for key, value in arguments.items())})" if arguments else f"{env_id}"


def _from_agents(random: Behaviour, config: CollectConfig, stage: Stage) -> Cast:
    assert config.agent is not None
    if config.level == "medium-replay":
        raise UserError(
            f"{config.agent} keeps no episodes of its training: leave --agent out, and a behaviour is trained that does"
        )
    if not config.level.startswith("medium"):
        return Cast(random, _agent(config.agent, config, stage))
    if config.expert is None:
        raise UserError(
            f"{config.level} needs the expert beside the medium agent {config.agent}, for the return that counts as "
            "100: name it with --expert, or leave --agent out, and a behaviour is trained"
        )
    return Cast(random, _agent(config.expert, config, stage), _agent(config.agent, config, stage))


def _agent(path: str | Path, config: CollectConfig, stage: Stage) -> Behaviour:
    return load_agent(path, config.device).behaviour(stage.make, stage.mask, config.deterministic)

"""What to collect, and in which environment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gymnasium as gym

from rl_larnn.agents.settings.environments import check_environment, make_env
from rl_larnn.agents.settings.recipes import Recipe
from rl_larnn.envs import resolve_id
from rl_larnn.envs.datasets import Amount, Mask, mask_of
from rl_larnn.errors import UserError, one_line

LEVELS = ("random", "medium", "medium-replay", "medium-expert", "expert", "mixed")

#: Stands for the scripted behaviour of a task, in place of a saved agent.
SCRIPTED = "scripted"

DEFAULT_STEPS = 100_000


@dataclass(frozen=True)
class CollectConfig:
    """What to collect.

    :param env: the environment that a learner will see: any Gymnasium id, or one of ours in short (``Hopper-P``)
    :param level: one of :data:`LEVELS`
    :param agent: a run folder, a behaviour folder, an archive of Stable-Baselines3, or ``"scripted"``; ``None``: the
        scripted behaviour of the task if there is one, else a behaviour is trained, once, and kept
    :param expert: the agent that is the expert where ``agent`` is medium, at the levels medium and medium-expert
    :param quality: share of good episodes at the level ``mixed``; ``None``: one half
    :param episodes: whole episodes to collect, or ``None``
    :param steps: or steps after which the last episode ends; ``None`` for both: :data:`DEFAULT_STEPS`
    :param name: the last part of the dataset's id, by default the level; a version is added
    :param env_kwargs: keyword arguments of the environment
    :param seed: of the environments, the actions and the training of a behaviour
    :param deterministic: whether agents take the likeliest actions; else actions are sampled, as for D4RL
    :param device: where agents run
    :param n_timesteps: training steps of a behaviour, if one is trained; ``None``: those of its recipe
    :param reference_episodes: episodes for each reference return, if these have to be measured; ``None``: 100
    """

    env: str
    level: str = "expert"
    agent: str | Path | None = None
    expert: str | Path | None = None
    quality: float | None = None
    episodes: int | None = None
    steps: int | None = None
    name: str | None = None
    env_kwargs: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    deterministic: bool = False
    device: str = "cpu"
    n_timesteps: int | None = None
    reference_episodes: int | None = None

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise UserError(f"expected a level of {', '.join(LEVELS)}, got {self.level!r}")
        if self.quality is not None and not 0 <= self.quality <= 1:
            raise UserError(f"expected a quality, the share of good episodes, from 0 to 1, got {self.quality}")
        if self.seed < 0 or (self.reference_episodes is not None and self.reference_episodes < 1):
            raise UserError(
                f"expected a seed of at least 0 and at least 1 reference episode, got {self.seed} and "
                f"{self.reference_episodes}"
            )
        if self.n_timesteps is not None and self.n_timesteps < 1:
            raise UserError(f"n_timesteps must be at least 1, got {self.n_timesteps}")
        if self.expert is not None and (self.agent is None or self.level not in ("medium", "medium-expert")):
            raise UserError(
                f"the expert {self.expert} belongs beside a medium agent, at the levels medium, medium-expert"
            )
        if self.level == "medium-replay" and (self.episodes, self.steps) != (None, None):
            raise UserError("medium-replay is all episodes of the training up to medium: leave out episodes and steps")
        if self.quality is not None and self.level != "mixed":
            raise UserError(f"quality is the share of good episodes at the level mixed, not {self.level}: leave it out")
        if self.n_timesteps is not None and self.agent is not None:
            raise UserError(
                f"n_timesteps is for training a behaviour, and {self.agent} is trained already: leave one of them out"
            )
        if self.deterministic and self.level in ("random", "medium-replay"):
            raise UserError(f"no agent acts at the level {self.level}: leave deterministic out")

    @property
    def share(self) -> float:
        """The share of good episodes at the level ``mixed``."""
        return 0.5 if self.quality is None else self.quality

    @property
    def amount(self) -> Amount:
        """How much to collect.

        :raises DatasetError: if both numbers are given, or one is not positive
        """
        steps = DEFAULT_STEPS if (self.episodes, self.steps) == (None, None) else self.steps
        return Amount(self.episodes, steps)


@dataclass(frozen=True)
class CollectionEnv:
    """The environment in which a behaviour collects, and the one that a learner will see.

    :param env_id: the environment of the learner
    :param plain_id: the same with everything visible, where a behaviour acts; equal to ``env_id`` if nothing is masked
    :param mask: from the latter to the former, or ``None``
    :param env_kwargs: keyword arguments of both
    """

    env_id: str
    plain_id: str
    mask: Mask | None = None
    env_kwargs: Mapping[str, Any] = field(default_factory=dict)

    def make(self) -> gym.Env:
        """The environment with everything visible.

        :raises UserError: if it cannot be made: a missing extra, a wrong keyword argument
        """
        return make_env(self.plain_id, self.env_kwargs, Recipe())

    def spaces(self) -> tuple[gym.Space, gym.Space]:
        """Spaces of observations and actions of the environment with everything visible."""
        return check_environment(self.plain_id, self.env_kwargs)

    def dataset_ids(self, config: CollectConfig) -> dict[str, str]:
        """The ids of the datasets by environment, that of the learner last.

        :raises UserError: if the name in the config is not one
        """
        ending = config.name or (f"mixed{round(100 * config.share)}" if config.level == "mixed" else config.level)
        if not re.fullmatch(r"[-_\w]+", ending):
            raise UserError(f"expected a name of letters, digits, - and _, such as expert-v1, got {ending!r}")
        ending = ending if re.search(r"-v\d+$", ending) else f"{ending}-v0"
        return {env_id: f"{self.title(env_id)}/{ending}" for env_id in dict.fromkeys((self.plain_id, self.env_id))}

    def title(self, env_id: str, version: bool = False) -> str:
        """An environment's id with its arguments, as a part of a path.

        :param version: whether to keep the version
        """
        plain = env_id.rpartition(":")[2]
        plain = plain if version else re.sub(r"-v\d+$", "", plain)
        arguments = [f"{key}-{value}" for key, value in sorted(self.env_kwargs.items())]
        return re.sub(r"[^-_/\w]", "-", "-".join([plain, *arguments]))


def find_collection_env(config: CollectConfig) -> CollectionEnv:
    """The environments of a config.

    :raises UserError: if there is no such environment
    """
    try:
        env_id = resolve_id(config.env)
        mask = mask_of(env_id, config.env_kwargs)
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"cannot make the environment {config.env}: {one_line(error)}") from error
    return CollectionEnv(env_id, env_id if mask is None else mask.plain_id, mask, config.env_kwargs)

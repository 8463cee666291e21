"""A run read back from its folder: the agent, and environments like those it was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from rl_larnn.agents.runs.checkpoint import find_checkpoint
from rl_larnn.agents.runs.folder import MODEL, NORMALIZATION, load_settings
from rl_larnn.agents.settings.config import Settings
from rl_larnn.agents.settings.environments import derived_seed, load_normalization, make_environments
from rl_larnn.agents.settings.models import load_model
from rl_larnn.agents.settings.recipes import Recipe
from rl_larnn.errors import UserError

#: Environments that an evaluation runs side by side. It decides which seeds the episodes get, so it is fixed.
EVALUATION_ENVS = 10


@dataclass(frozen=True)
class LoadedRun:
    """The agent of a run.

    :param folder: the run folder
    :param source: the folder with the model: the run's own or, while training is unfinished, its checkpoint
    """

    folder: Path
    source: Path
    settings: Settings
    model: OnPolicyAlgorithm

    @property
    def finished(self) -> bool:
        """Whether this is the model at the end of training."""
        return self.source == self.folder

    def recipe(self, target_return: float | None = None) -> Recipe:
        """The run's recipe, with another target return if one is given.

        :raises UserError: for a target return, if the agent was trained without one
        """
        recipe = self.settings.recipe
        if target_return is None:
            return recipe
        if recipe.target_return is None:
            raise UserError(f"the agent of {self.folder} was trained without a target return: leave out target_return")
        return replace(recipe, target_return=target_return)

    def make_environments(
        self,
        n_envs: int = EVALUATION_ENVS,
        seed: int | None = None,
        render_mode: str | None = None,
        env_kwargs: Mapping[str, Any] | None = None,
        target_return: float | None = None,
    ) -> VecEnv:
        """Environments with the run's wrappers, its normalisation fixed and rewards unscaled.

        :param seed: of the first environment; ``None``: derived from the run's, unlike those of training
        :param env_kwargs: arguments of the environment, over those of the run
        :param target_return: the target return, if another than in the run
        :raises UserError: for a target return, if the agent was trained without one
        """
        settings, recipe = self.settings, self.recipe(target_return)
        first = derived_seed(settings.seed, 0) if seed is None else seed
        kwargs = {**settings.env_kwargs, **(env_kwargs or {})}
        env = make_environments(settings.env, kwargs, recipe, n_envs, first, render_mode=render_mode)
        return load_normalization(self.source / NORMALIZATION, env, training=False)


def find_source(folder: Path) -> Path:
    """The folder with the model of a run: the run's own or, while training is unfinished, its checkpoint.

    :raises UserError: if there is neither
    """
    return folder if (folder / MODEL).exists() else find_checkpoint(folder)


def load_run(folder: str | Path, device: str = "auto") -> LoadedRun:
    """Load the agent of a run: the final one or, of a run that is not finished, that of its last checkpoint.

    :raises UserError: if there is no run, or what should be loaded is missing, truncated or foreign
    """
    folder = Path(folder)
    settings = load_settings(folder)
    source = find_source(folder)
    return LoadedRun(folder, source, settings, load_model(source / MODEL, None, device, settings.algorithm))

"""A behaviour and settings for the tests of levels of skill."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rl_larnn.agents.behaviours import CollectConfig, train_behaviour, training
from rl_larnn.agents.behaviours import folder as behaviour_folder
from rl_larnn.agents.behaviours.config import CollectionEnv
from rl_larnn.agents.behaviours.recipes import BEHAVIOUR_RECIPES

CARTPOLE, PENDULUM = (CollectionEnv(env_id, env_id) for env_id in ("CartPole-v1", "Pendulum-v1"))


def brief_behaviour(folder: Path) -> Path:
    """A behaviour folder for CartPole, trained for a moment."""
    recipe = replace(BEHAVIOUR_RECIPES["CartPole-v1"], n_timesteps=4000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "EVALUATIONS", 6)
        patch.setattr(behaviour_folder, "REFERENCE_EPISODES", 30)
        train_behaviour(CARTPOLE, recipe, folder)
    return folder


def tiny_config(behaviour: Path, level: str, **changes: Any) -> CollectConfig:
    defaults: dict[str, Any] = {"agent": behaviour, "steps": 300}
    if level == "medium-replay":
        defaults["steps"] = None
    return CollectConfig("CartPole-POMDP", level, **{**defaults, **changes})

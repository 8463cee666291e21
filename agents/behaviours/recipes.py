"""Recipes for training behaviours: agents of Stable-Baselines3 that see the whole state.

The values are those of RL Baselines3 Zoo (``hyperparams/ppo.yml``, ``sac.yml``), but half as many steps for CartPole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gymnasium import spaces
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.base_class import BaseAlgorithm

from rl_larnn.agents.settings.values import Linear

ALGORITHMS: dict[str, type[BaseAlgorithm]] = {"ppo": PPO, "sac": SAC}


@dataclass(frozen=True)
class BehaviourRecipe:
    """An algorithm and its settings.

    :param algorithm: a name of :data:`ALGORITHMS`
    :param n_timesteps: environment steps, over all environments together
    :param n_envs: environments side by side
    :param arguments: of the algorithm; rates and ranges may be :class:`rl_larnn.agents.settings.values.Linear`
    """

    algorithm: str
    n_timesteps: int
    n_envs: int = 1
    arguments: Mapping[str, Any] = field(default_factory=dict)


_LOCOMOTION = BehaviourRecipe("sac", 1_000_000, 1, dict(learning_starts=10_000))

#: Recipes by full id of the environment with everything visible.
BEHAVIOUR_RECIPES: dict[str, BehaviourRecipe] = {
    "CartPole-v1": BehaviourRecipe(
        "ppo",
        50_000,
        8,
        dict(
            n_steps=32,
            batch_size=256,
            gae_lambda=0.8,
            gamma=0.98,
            n_epochs=20,
            learning_rate=Linear(1e-3),
            clip_range=Linear(0.2),
        ),
    ),
    "Pendulum-v1": BehaviourRecipe(
        "ppo",
        100_000,
        4,
        dict(
            n_steps=1024, gae_lambda=0.95, gamma=0.9, n_epochs=10, learning_rate=1e-3, use_sde=True, sde_sample_freq=4
        ),
    ),
    "LunarLander-v3": BehaviourRecipe(
        "ppo",
        1_000_000,
        16,
        dict(n_steps=1024, batch_size=64, gae_lambda=0.98, gamma=0.999, n_epochs=4, ent_coef=0.01),
    ),
    # With the values of LunarLander-v3, the best of PPO's agents still hovers after a million steps.
    "LunarLanderContinuous-v3": BehaviourRecipe(
        "sac",
        500_000,
        1,
        dict(learning_starts=10_000, learning_rate=Linear(7.3e-4), tau=0.01, policy_kwargs={"net_arch": [400, 300]}),
    ),
    **{f"{body}-v5": _LOCOMOTION for body in ("Ant", "HalfCheetah", "Hopper", "Walker2d")},
}

_DEFAULT_DISCRETE = BehaviourRecipe("ppo", 500_000, 8, dict(n_steps=128, batch_size=256, learning_rate=3e-4))
_DEFAULT_CONTINUOUS = BehaviourRecipe("sac", 300_000, 1, dict(learning_starts=1_000))


def behaviour_recipe(env_id: str, action_space: spaces.Space) -> BehaviourRecipe:
    """The recipe of an environment, else SAC for actions that are vectors of numbers, PPO for all others."""
    default = _DEFAULT_CONTINUOUS if isinstance(action_space, spaces.Box) else _DEFAULT_DISCRETE
    return BEHAVIOUR_RECIPES.get(env_id, default)

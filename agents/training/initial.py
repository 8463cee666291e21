"""Starting with the weights and statistics of another run, online or offline."""

from __future__ import annotations

from pathlib import Path

from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from rl_larnn.agents.evaluation.load import find_source, load_run
from rl_larnn.agents.runs.checkpoint import restore_generators, save_generators
from rl_larnn.agents.runs.folder import NORMALIZATION
from rl_larnn.agents.settings.environments import load_normalization, normalized
from rl_larnn.agents.settings.recipes import Recipe
from rl_larnn.errors import UserError


def normalized_as_in(folder: str | Path, env: VecEnv, recipe: Recipe) -> VecEnv:
    """Environments normalised with the statistics of a run, or with fresh ones if the run has none.

    Statistics of an online run are updated further. Statistics of data are not: the mean of the return-to-go would move
    away from that of the data, and the agent would read, and aim for, less and less.

    :raises UserError: if there is no agent in the folder, or its environments were of another kind
    """
    path = find_source(Path(folder)) / NORMALIZATION
    if not path.exists():
        return normalized(env, recipe)
    loaded = load_normalization(path, env, training=True)
    assert isinstance(loaded, VecNormalize)
    loaded.norm_reward = recipe.normalize_rewards
    loaded.gamma = recipe.gamma
    return loaded


def load_weights(folder: str | Path, model: OnPolicyAlgorithm) -> None:
    """Load the weights of a run into a fresh model.

    :raises UserError: if a shape differs, naming the first that does
    """
    generators = save_generators()
    found = load_run(folder, "cpu").model.policy.state_dict()
    restore_generators(generators)  # loading seeds them as at the beginning of that run
    own = model.policy.state_dict()
    for name in dict.fromkeys([*own, *found]):
        shapes = [tuple(weights[name].shape) if name in weights else None for weights in (own, found)]
        if shapes[0] != shapes[1]:
            came, wanted = (f"{shape}" if shape else "nothing" for shape in (shapes[1], shapes[0]))
            raise UserError(
                f"the weights of {folder} don't fit this agent: expected {wanted} for {name}, got {came}; leave out "
                "settings that change its shape, or begin with another run"
            )
    model.policy.load_state_dict(found)

"""Beginning with the weights and statistics of a finished run, online or offline, in the place of fresh ones."""

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


def as_in_run(folder: str | Path, env: VecEnv, recipe: Recipe) -> VecEnv:
    """Environments under the statistics of a run; fresh ones where the run has none.

    Those of an online run go on changing. Those of data stay: an agent that is told the return to come would read a
    smaller one, ask for less and get less, as the mean of what it is told moves away from that of the data.

    :raises UserError: if there is no agent there, or its environments were of another kind
    """
    path = find_source(Path(folder)) / NORMALIZATION
    if not path.exists():
        return normalized(env, recipe)
    loaded = load_normalization(path, env, training=True)
    assert isinstance(loaded, VecNormalize)
    loaded.norm_reward = recipe.normalize_rewards
    loaded.gamma = recipe.gamma
    return loaded


def take_over(folder: str | Path, model: OnPolicyAlgorithm) -> None:
    """Give a fresh model the weights of a run.

    :raises UserError: if the two differ in a shape, with the first that does
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

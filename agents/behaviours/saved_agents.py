"""Saved agents as behaviours: those of run folders, and archives of Stable-Baselines3."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import sb3_contrib
from gymnasium import spaces
from stable_baselines3 import A2C, DQN, PPO, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from rl_larnn.agents.evaluation.load import load_run
from rl_larnn.agents.recurrent_ppo import RecurrentPPO
from rl_larnn.agents.runs.folder import NORMALIZATION
from rl_larnn.agents.settings.environments import load_normalization, wrap_environment
from rl_larnn.agents.settings.models import pick_device
from rl_larnn.agents.settings.recipes import Recipe
from rl_larnn.envs.datasets import Behaviour, Mask
from rl_larnn.envs.datasets.behaviour import Policy, no_wrapper
from rl_larnn.envs.spaces import same_form
from rl_larnn.errors import UserError, one_line

#: An archive names its policy, not its algorithm: algorithms by the module of their policies.
_ALGORITHMS: dict[str, type[BaseAlgorithm]] = {
    next(iter(algorithm.policy_aliases.values())).__module__: algorithm
    for algorithm in (RecurrentPPO, sb3_contrib.RecurrentPPO, sb3_contrib.QRDQN, sb3_contrib.TQC, DQN, SAC, TD3)
}
#: PPO and A2C share their policies.
_SHARED = "stable_baselines3.common.policies"


@dataclass(frozen=True)
class SavedAgent:
    """An agent with what it needs to read observations.

    :param recipe: the recipe whose wrappers it was trained with
    :param normalization: file with the statistics of its observations, if there is such a file
    :param record: plain data about it, for the metadata of datasets
    """

    model: BaseAlgorithm
    recipe: Recipe
    normalization: Path
    record: dict[str, Any]

    def behaviour(self, make: Callable[[], gym.Env], mask: Mask | None, deterministic: bool) -> Behaviour:
        """The agent as a behaviour that sees everything or, if that is what it was trained on, what a mask shows.

        :param make: makes the environment with everything visible
        :param deterministic: take the likeliest actions; else sample
        :raises UserError: if its spaces fit neither
        """
        for view in [no_wrapper] if mask is None else [no_wrapper, mask.wrap]:
            wrap = partial(_wrap, view=view, recipe=self.recipe)
            env = wrap(make())
            try:
                if _readable(self.model.observation_space, env.observation_space):
                    if not same_form(self.model.action_space, env.action_space):
                        raise UserError(
                            f"the agent {self.record['agent']} doesn't fit the environment: it acts in "
                            f"{self.model.action_space}, got {env.action_space}"
                        )
                    seen = load_normalization(
                        self.normalization, DummyVecEnv([partial(no_wrapper, env)]), training=False
                    )
                    policy = _policy(self.model, seen if isinstance(seen, VecNormalize) else None, deterministic)
                    return Behaviour(policy, wrap, {**self.record, "deterministic": deterministic})
            finally:
                env.close()
        raise UserError(
            f"the agent {self.record['agent']} doesn't fit {env.unwrapped.spec.id if env.unwrapped.spec else env}: "
            f"it reads {self.model.observation_space}, got {env.observation_space}"
        )


def _wrap(env: gym.Env, view: Callable[[gym.Env], gym.Env], recipe: Recipe) -> gym.Env:
    """A view of the environment, with the wrappers of a recipe."""
    return wrap_environment(view(env), recipe)


def load_agent(path: str | Path, device: str = "cpu") -> SavedAgent:
    """Load the best agent of a run folder, or an archive saved by Stable-Baselines3, sb3-contrib or this library.

    A file ``vecnormalize.pkl`` beside an archive holds the statistics of its observations.

    :raises UserError: if there is no agent, or it is damaged or of an unknown kind
    """
    path = Path(path)
    record: dict[str, Any] = {"policy": "agent", "agent": str(path)}
    if path.is_dir():
        run = load_run(path, device)
        recipe, source = run.settings.recipe, run.source
        record |= {"memory": run.settings.method, "env": run.settings.env}
        agent: BaseAlgorithm = run.model
    elif path.is_file():
        agent, recipe, source = _load_archive(path, device), Recipe(), path.parent
    else:
        raise UserError(f"expected a run folder or an archive of Stable-Baselines3 (.zip), got {path}, not there")
    record |= {"algorithm_name": type(agent).__name__, "steps": int(agent.num_timesteps)}
    return SavedAgent(agent, recipe, source / NORMALIZATION, record)


def _load_archive(path: Path, device: str) -> BaseAlgorithm:
    expected = "an archive of Stable-Baselines3, sb3-contrib or this library"
    try:
        with zipfile.ZipFile(path) as archive:
            data = json.loads(archive.read("data"))
        module = data["policy_class"]["__module__"]
        algorithm = (PPO if "clip_range" in data else A2C) if module == _SHARED else _ALGORITHMS.get(module)
        if algorithm is None:
            raise UserError(f"cannot load {path}: expected {expected}, got one with a policy of {module}")
        return algorithm.load(path, device=pick_device(device))
    except UserError:
        raise
    except Exception as error:
        # A cut file fails in as many ways as zip, JSON, pickle and torch know.
        raise UserError(f"cannot load {path}: expected {expected}, got {one_line(error)}") from error


def _policy(model: BaseAlgorithm, statistics: VecNormalize | None, deterministic: bool) -> Policy:
    resample = getattr(model, "use_sde", False) and not deterministic

    def act(observations: Any, state: Any, starts: np.ndarray) -> tuple[np.ndarray, Any]:
        if statistics is not None:
            observations = statistics.normalize_obs(observations)
        if resample and starts.any():
            # State-dependent noise stays the same until it is drawn again.
            model.policy.reset_noise(len(starts))  # type: ignore[operator]
        return model.predict(observations, state, starts, deterministic)

    return act


def _readable(wanted: spaces.Space, shown: spaces.Space) -> bool:
    """Whether an agent trained on one space can read another; Stable-Baselines3 transposes images itself."""
    if isinstance(wanted, spaces.Dict) and isinstance(shown, spaces.Dict):
        parts = wanted.spaces.keys() == shown.spaces.keys()
        return parts and all(_readable(space, shown.spaces[key]) for key, space in wanted.spaces.items())
    if isinstance(wanted, spaces.Box) and isinstance(shown, spaces.Box) and len(shown.shape) == 3:
        return wanted.shape in (shown.shape, (shown.shape[-1], *shown.shape[:-1]))
    return same_form(wanted, shown)

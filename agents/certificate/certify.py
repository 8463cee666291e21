"""A certificate in one call: does the environment need memory, does the agent use its own, and how much is left?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.type_aliases import PolicyPredictor
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecNormalize, unwrap_vec_normalize

from rl_larnn.agents.certificate.certificate import Certificate, Interval, MemoryFinding, Plan, References
from rl_larnn.agents.certificate.evaluator import Evaluator, OnProgress, choose_episodes, choose_search_steps
from rl_larnn.agents.certificate.interventions import StateRows
from rl_larnn.agents.certificate.memory_need import environment_verdict, find_gain, find_references
from rl_larnn.agents.certificate.memory_use import examine_memory
from rl_larnn.agents.certificate.memoryless_baselines import Comparison
from rl_larnn.agents.certificate.policies import random_policy
from rl_larnn.agents.runs.checkpoint import restore_generators, save_generators
from rl_larnn.envs import make, resolve_id
from rl_larnn.errors import UserError

#: Environments side by side, where the certificate makes them.
N_ENVS = 32

#: Episodes under which the quantiles of Student's distribution are no longer right.
LEAST_EPISODES = 11

NO_MEMORY = "it carries no state from step to step: it has no memory to use"

EnvironmentSource = str | gym.Env | VecEnv | Callable[[int], VecEnv]


def certify(
    model: PolicyPredictor,
    env: EnvironmentSource,
    *,
    budget_s: float = 150.0,
    episodes: int | None = None,
    search_steps: int | None = None,
    seed: int = 0,
    deterministic: bool = True,
    ceiling: float | None = None,
    env_id: str | None = None,
    on_progress: OnProgress | None = None,
) -> Certificate:
    """Answer three questions about an agent and its environment.

    :param model: anything with Stable-Baselines3's ``predict(observation, state, episode_start, deterministic)``
    :param env: what the agent was trained on, with the same wrappers and normalisation (which is not updated): a
        function that makes so many environments side by side (of a run, ``load_run(folder).make_environments``), a
        VecEnv, one environment, or a Gymnasium id. Only what is made here is closed. Vectorised environments make it
        fast; swapping memories needs an even number of them.
    :param budget_s: seconds to spend, roughly; counts are chosen to fit and reported. A slow environment may take
        longer, since a certificate rests on at least two episodes in each environment.
    :param episodes: behind every score, rounded up to fill the environments; None: chosen
    :param search_steps: environment steps of each PPO baseline; None: chosen
    :param seed: with ``episodes`` and ``search_steps`` given, the same seed gives the same certificate
    :param deterministic: whether the agent takes its likeliest actions
    :param ceiling: best possible mean return, where you know it; replaces that of the table of tasks
    :param env_id: under which bounds are looked up, where the environment does not know it
    :param on_progress: called with the share of the time that is over, 0 to 1, and what comes next
    :raises UserError: for an environment that is unknown or another one than the agent's, or a budget that is not
        positive
    """
    for name, value in {"budget_s": budget_s, "episodes": episodes, "search_steps": search_steps}.items():
        if value is not None and value <= 0:
            raise UserError(f"{name} must be positive, got {value}")
    if episodes is not None and episodes < LEAST_EPISODES:
        raise UserError(f"expected at least {LEAST_EPISODES} episodes, fewer say nothing, got {episodes}")
    generators = save_generators()
    try:
        with _opened(env) as opened, fixed_normalization(opened):
            _check_spaces(model, opened)
            known = find_references(opened, env_id, ceiling)
            evaluator = Evaluator(opened, seed, deterministic, budget_s, on_progress)
            return _certify(model, evaluator, known, episodes, search_steps)
    finally:
        restore_generators(generators)


def _certify(
    model: PolicyPredictor, evaluator: Evaluator, known: References, episodes: int | None, search_steps: int | None
) -> Certificate:
    n_envs, costs = evaluator.env.num_envs, None
    if episodes is None or search_steps is None:
        evaluator.announce("measuring the cost of a step")
        costs = evaluator.measure_costs(model)
        episodes = episodes or choose_episodes(costs, evaluator.budget_s, n_envs)
    evaluator.episodes = -(-episodes // n_envs) * n_envs
    evaluator.announce("the agent as it is")
    intact = evaluator.evaluate(model)
    random = evaluator.returns(random_policy(evaluator.env.action_space, evaluator.seed))
    has_memory, rows = _state_rows(model, evaluator.env)
    memory = MemoryFinding("no", NO_MEMORY, Interval.of(intact.returns))
    if has_memory:
        memory = examine_memory(model, evaluator, intact, rows, random)
    if search_steps is None:
        assert costs is not None
        left_s = 0.8 * evaluator.budget_s - evaluator.elapsed_s
        search_steps = choose_search_steps(costs, left_s, n_envs, evaluator.episodes)
    methods = Comparison(model, evaluator, search_steps, rows, known).run(intact.returns, random, has_memory)
    environment = environment_verdict(methods, random, known)
    return Certificate(
        known,
        type(model).__name__,
        environment,
        memory,
        find_gain(environment, memory.intact, known),
        Plan(evaluator.episodes, search_steps),
        evaluator.seed,
        n_envs,
        evaluator.deterministic,
        round(evaluator.elapsed_s, 1),
    )


def _state_rows(model: PolicyPredictor, env: VecEnv) -> tuple[bool, StateRows | None]:
    """Whether an agent carries a state, and how to reach its rows, where that is possible."""
    observation: Any = env.reset()
    state = model.predict(observation, None, np.ones(env.num_envs, bool), True)[1]
    if state is None or not any(np.any(part) for part in state):
        return False, None  # nothing, or numbers that stand for nothing
    return True, StateRows.of(model, observation)


def _opened(env: EnvironmentSource) -> AbstractContextManager[VecEnv]:
    if isinstance(env, VecEnv):
        return nullcontext(env)
    if isinstance(env, gym.Env):
        return nullcontext(DummyVecEnv([lambda: Monitor(env)]))
    return closing(make_vec_env(partial(make, resolve_id(env)), N_ENVS) if isinstance(env, str) else env(N_ENVS))


@contextmanager
def fixed_normalization(env: VecEnv) -> Iterator[None]:
    """Stop every normalisation around the environments from learning, with rewards unscaled; restored afterwards."""
    layers: list[VecNormalize] = []
    while layer := unwrap_vec_normalize(layers[-1].venv if layers else env):
        layers.append(layer)
    before = [(layer.training, layer.norm_reward) for layer in layers]
    for layer in layers:
        layer.training = layer.norm_reward = False
    try:
        yield
    finally:
        for layer, (training, norm_reward) in zip(layers, before, strict=True):
            layer.training, layer.norm_reward = training, norm_reward


def _check_spaces(model: PolicyPredictor, env: VecEnv) -> None:
    for name in ("observation_space", "action_space"):
        expected, found = getattr(model, name, None), getattr(env, name)
        if expected is not None and expected != found:
            raise UserError(
                f"the agent's {name} is {expected}, the environment's is {found}: pass the environment that the agent "
                "was trained on, with the same wrappers"
            )

"""Agents that act in datasets: archives of Stable-Baselines3, run folders, and what is neither."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.testing as npt
import pytest
from stable_baselines3 import A2C, DQN, PPO, SAC
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from rl_larnn.agents import RecurrentPPO
from rl_larnn.agents.behaviours import SavedAgent, load_agent, saved_agents
from rl_larnn.agents.evaluation.load import load_run
from rl_larnn.agents.settings.environments import make_env
from rl_larnn.agents.settings.recipes import recipe_for
from rl_larnn.agents.training import TrainConfig, train
from rl_larnn.envs import make
from rl_larnn.envs.datasets import Amount, collect, episode_seed, mask_of
from rl_larnn.errors import UserError
from tests.dataset_cases import cartpole

TINY = {"n_steps": 16, "batch_size": 32, "n_epochs": 1, "seq_len": 16, "hidden_size": 8}


def returns_of(agent: SavedAgent, make_env: Callable[[], gym.Env], mask: Any = None) -> list[float]:
    behaviour = agent.behaviour(make_env, mask, deterministic=True)
    return [episode.total_reward for episode in collect(make_env, behaviour, Amount(episodes=3), seed=1, n_envs=2)]


def predicted(model: Any, env: gym.Env, seeds: list[int]) -> list[float]:
    """Returns by the plain use of ``predict``."""
    totals = []
    for seed in seeds:
        observation, state, start, total, done = env.reset(seed=seed)[0], None, np.ones(1, bool), 0.0, False
        while not done:
            action, state = model.predict(observation[None], state, start, deterministic=True)
            observation, reward, terminated, truncated, _ = env.step(action[0])
            start, total, done = np.zeros(1, bool), total + float(reward), terminated or truncated
        totals.append(total)
    return totals


SEEDS = [episode_seed(1, i) for i in range(3)]


@pytest.mark.parametrize("kind", [PPO, A2C, DQN, SAC, RecurrentPPO])
def test_archives_act_as_their_algorithm_does(tmp_path: Path, kind: Any) -> None:
    env_id = "Pendulum-v1" if kind is SAC else "CartPole-v1"
    policy = "MlpGruPolicy" if kind is RecurrentPPO else "MlpPolicy"
    model = kind(policy, make(env_id), seed=3, device="cpu")
    model.save(tmp_path / "agent.zip")
    agent = load_agent(tmp_path / "agent.zip")
    assert type(agent.model) is kind and agent.record["algorithm_name"] == kind.__name__
    npt.assert_allclose(returns_of(agent, lambda: make(env_id)), predicted(model, make(env_id), SEEDS), rtol=1e-4)


def test_statistics_beside_an_archive_are_used(tmp_path: Path) -> None:
    env = VecNormalize(DummyVecEnv([cartpole]))
    model = PPO("MlpPolicy", env, n_steps=64, seed=0, device="cpu").learn(256)
    model.save(tmp_path / "agent.zip")
    without = returns_of(load_agent(tmp_path / "agent.zip"), cartpole)
    env.save(str(tmp_path / "vecnormalize.pkl"))
    env.training, env.norm_reward = False, False

    class Normalized(gym.ObservationWrapper):
        def observation(self, observation: np.ndarray) -> np.ndarray:
            return env.normalize_obs(observation)  # type: ignore[return-value]

    expected = predicted(model, Normalized(cartpole()), SEEDS)
    assert returns_of(load_agent(tmp_path / "agent.zip"), cartpole) == expected != without


@pytest.mark.parametrize(
    ("env_id", "memory", "settings"),
    [
        ("CartPole-MDP", "gru", {"previous_action": True, "first_step_flag": True}),
        ("CartPole-POMDP", "ppo-4-frames", {}),
    ],
)
def test_runs_act_in_a_dataset_as_in_their_evaluation(tmp_path: Path, env_id: str, memory: str, settings: Any) -> None:
    tiny = {key: value for key, value in TINY.items() if memory == "gru" or key != "seq_len"}
    config = TrainConfig(
        env_id,
        memory,
        128,
        n_envs=2,
        device="cpu",
        eval_episodes=2,
        run_dir=tmp_path / "run",
        settings={**tiny, **settings},
    )
    train(config)
    run, agent, mask = load_run(tmp_path / "run", "cpu"), load_agent(tmp_path / "run"), mask_of("CartPole-POMDP")
    assert agent.record["steps"] > 0 and agent.record["env"] == run.settings.env
    for number, found in enumerate(returns_of(agent, cartpole, mask)):
        env = run.make_environments(n_envs=1, seed=SEEDS[number])
        observation, state, start, total = env.reset(), None, np.ones(1, bool), 0.0
        while True:
            action, state = run.model.predict(observation, state, start, deterministic=True)  # type: ignore[arg-type]
            observation, reward, start, _ = env.step(action)
            total += float(reward[0])
            if start[0]:
                break
        assert found == total


def test_a_run_s_agent_sees_what_it_was_trained_on() -> None:
    flags: dict[str, Any] = {"previous_action": True, "first_step_flag": True, "frame_stack": 3}
    recipe = replace(recipe_for("CartPole-POMDP-v0", cartpole().action_space)[0], **flags)
    trained_on, mask = make_env("CartPole-POMDP-v0", {}, recipe), mask_of("CartPole-POMDP")
    assert mask is not None
    seen = saved_agents._wrap(cartpole(), mask.wrap, recipe)
    assert seen.observation_space == trained_on.observation_space
    for seed in range(3):
        observations = [env.reset(seed=seed)[0] for env in (seen, trained_on)]
        for action in (0, 1, 1, 0, 1):
            npt.assert_array_equal(*observations, strict=True)
            observations = [env.step(action)[0] for env in (seen, trained_on)]


def test_state_dependent_noise_is_drawn_for_every_episode(tmp_path: Path) -> None:
    PPO("MlpPolicy", "Pendulum-v1", use_sde=True, policy_kwargs={"log_std_init": -2.0}, device="cpu").save(
        tmp_path / "agent.zip"
    )
    act = load_agent(tmp_path / "agent.zip").behaviour(lambda: make("Pendulum-v1"), None, False).policy
    observations, starts = np.tile(make("Pendulum-v1").reset(seed=0)[0], (2, 1)), np.array([True, False])
    first, same, other = (act(observations, None, flags)[0] for flags in (starts, ~starts & False, starts))
    npt.assert_array_equal(first, same)
    assert (first != other).all() and first[0] != first[1]


def test_an_agent_has_to_fit(tmp_path: Path) -> None:
    PPO("MlpPolicy", make("Pendulum-v1"), device="cpu").save(tmp_path / "pendulum.zip")
    DQN("MlpPolicy", make("CartPole-v1"), device="cpu").save(tmp_path / "cartpole.zip")
    with pytest.raises(UserError, match=r"pendulum\.zip doesn't fit CartPole-v1: it reads Box"):
        load_agent(tmp_path / "pendulum.zip").behaviour(cartpole, mask_of("CartPole-POMDP"), True)
    agent = load_agent(tmp_path / "cartpole.zip")

    class Other(gym.ActionWrapper):
        action_space = gym.spaces.Discrete(3)

    with pytest.raises(UserError, match=r"doesn't fit the environment: it acts in Discrete\(2\), got Discrete\(3\)"):
        agent.behaviour(lambda: Other(cartpole()), None, True)


def test_what_is_no_agent_is_told(tmp_path: Path) -> None:
    PPO("MlpPolicy", "CartPole-v1", device="cpu").save(tmp_path / "whole.zip")
    content = (tmp_path / "whole.zip").read_bytes()
    (tmp_path / "cut.zip").write_bytes(content[: len(content) // 2])
    (tmp_path / "text.zip").write_text("hello")
    for name in ("cut", "text"):
        with pytest.raises(UserError, match=rf"cannot load .*{name}\.zip: expected an archive of Stable-Baselines3"):
            load_agent(tmp_path / f"{name}.zip")
    with pytest.raises(UserError, match="expected a run folder or an archive"):
        load_agent(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"cannot read .*config\.json"):
        load_agent(tmp_path)

"""Agents that learned offline go on online."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3.common.vec_env import VecNormalize

from rl_larnn.agents import RecurrentPPO
from rl_larnn.agents.runs.folder import RESULT, initial_run
from rl_larnn.agents.runs.folder import load_settings as load_run_settings
from rl_larnn.agents.settings.config import Settings, resolve
from rl_larnn.agents.settings.environments import make_environments
from rl_larnn.agents.settings.models import build_model
from rl_larnn.agents.settings.values import Linear
from rl_larnn.agents.training import TrainConfig, resume, train, train_offline
from rl_larnn.agents.training.online import load_weights, normalized_as_in
from rl_larnn.agents.training.run import Run
from rl_larnn.envs.datasets import load_dataset
from rl_larnn.errors import UserError
from tests.offline_cases import RANDOM, TINY, config, weights

ONLINE: dict[str, Any] = {"n_timesteps": 512, "n_envs": 2, "eval_episodes": 2, "device": "cpu"}


@pytest.fixture(scope="module")
def offline(offline_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that learned from data, for all tests that only read it."""
    return train_offline(config(dataset=RANDOM, run_dir=tmp_path_factory.mktemp("offline") / "run"))


def test_an_online_run_begins_where_the_offline_run_ended(inside: Path) -> None:
    offline = train_offline(config(dataset=RANDOM, settings={**TINY, "value_coef": 0.5}))
    run = train(TrainConfig("CartPole-POMDP", **ONLINE, init=offline.folder, settings={"learning_rate": 1e-12}))
    found, expected = weights(run.folder), weights(offline.folder)
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=0, atol=1e-6)
    settings = load_run_settings(run.folder)
    assert (settings.memory, settings.init) == ("gru", str(offline.folder))
    assert settings.recipe.target_return == offline.settings.run.recipe.target_return
    assert settings.recipe.arguments["kickstart_coef"] == Linear(1.0)
    # Tried before the first step, as it may never be better again.
    assert json.loads((run.folder / RESULT).read_text())["evaluations"][0][0] == 0


def resolved(init: Path) -> Settings:
    return resolve(TrainConfig("CartPole-POMDP", **ONLINE, init=init), initial_run(init))


def test_what_was_imitated_is_not_forgotten_unless_asked_for(inside: Path, offline: Run) -> None:
    """The teacher is the agent that learned from data, also after the run was cut in two."""
    run = train(TrainConfig("CartPole-POMDP", **ONLINE, init=offline.folder))
    resume(run.folder, n_timesteps=1024)
    taught = RecurrentPPO.load(run.folder / "checkpoint" / "model.zip", device="cpu")
    assert taught.teacher is not None
    for key, value in weights(offline.folder).items():
        torch.testing.assert_close(taught.teacher.state_dict()[key], value, rtol=0, atol=0)
    asked = train(TrainConfig("CartPole-POMDP", **ONLINE, init=offline.folder, settings={"kickstart_coef": 0.0}))
    for folder, coefficient in ((asked.folder, 0.0), (run.folder, Linear(1.0))):
        again = resolved(folder)
        assert again.recipe.arguments["kickstart_coef"] == coefficient, "as in the run that it begins with"
    chosen = train_offline(config(dataset=RANDOM, settings={**TINY, "kickstart_coef": 0.5}))
    assert resolved(chosen.folder).recipe.arguments["kickstart_coef"] == 0.5
    online = train(TrainConfig("CartPole-POMDP", "gru", **ONLINE, settings={"hidden_size": 8}))
    assert "kickstart_coef" not in resolved(online.folder).recipe.arguments


def test_taking_over_weights_leaves_the_random_numbers_alone(inside: Path, offline: Run) -> None:
    """Else every seed would act as the run did that the weights are of."""
    recipe = load_run_settings(offline.folder).recipe
    env = normalized_as_in(offline.folder, make_environments("CartPole-POMDP-v0", {}, recipe, 1, 0), recipe)
    drawn = []
    for take in (False, True):
        model = build_model(recipe, env, 7, "cpu")
        if take:
            load_weights(offline.folder, model)
        drawn.append((torch.rand(3), torch.as_tensor(np.random.random(3))))
    torch.testing.assert_close(*drawn, rtol=0, atol=0)


def test_the_scale_of_observations_is_kept(inside: Path, offline: Run) -> None:
    with pytest.raises(UserError, match="has its own scale of observations: leave normalize_observations out"):
        train(TrainConfig("CartPole-POMDP", **ONLINE, init=offline.folder, settings={"normalize_observations": False}))


def test_statistics_of_data_stay_and_those_of_an_online_run_go_on(inside: Path, offline: Run) -> None:
    """Also for runs that start with a run that was trained offline, and after a resume."""
    run = train(TrainConfig("CartPole-POMDP", **ONLINE, init=offline.folder))
    resume(run.folder, n_timesteps=1024)
    recipe = load_run_settings(offline.folder).recipe
    for folder in (offline.folder, run.folder):
        loaded = normalized_as_in(folder, make_environments("CartPole-POMDP-v0", {}, recipe, 1, 0), recipe)
        assert isinstance(loaded, VecNormalize) and loaded.norm_reward and not loaded.training
        assert loaded.obs_rms.count == load_dataset(RANDOM).steps  # type: ignore[union-attr]
        loaded.reset()
        assert loaded.obs_rms.count == load_dataset(RANDOM).steps  # type: ignore[union-attr]
    online = train(TrainConfig("CartPole-POMDP", "gru", **ONLINE, settings={"hidden_size": 8}))
    recipe = load_run_settings(online.folder).recipe
    loaded = normalized_as_in(online.folder, make_environments("CartPole-POMDP-v0", {}, recipe, 1, 0), recipe)
    before = loaded.obs_rms.count  # type: ignore[attr-defined]
    loaded.reset()
    assert loaded.obs_rms.count == before + 1  # type: ignore[attr-defined]


def test_agents_of_another_shape_are_refused(inside: Path, offline: Run) -> None:
    with pytest.raises(UserError, match=r"has the memory gru, got lstm: leave --memory out"):
        train(TrainConfig("CartPole-POMDP", "lstm", **ONLINE, init=offline.folder))
    with pytest.raises(UserError, match=r"don't fit this agent: expected \(9,.*\) for actor_memory\S+, got \(8,"):
        train(TrainConfig("CartPole-POMDP", **ONLINE, init=offline.folder, settings={"hidden_size": 9}))
    with pytest.raises(UserError, match="expected a run folder, got nowhere, which does not exist"):
        train(TrainConfig("CartPole-POMDP", **ONLINE, init="nowhere"))
    fits = r"doesn't fit Pendulum-POMDP-v0: it learned CartPole-POMDP-v0 with actions Discrete\(2\), got Box\(-2, 2, "
    with pytest.raises(UserError, match=fits):
        train(TrainConfig("Pendulum-POMDP", **ONLINE, init=offline.folder))
    with pytest.raises(UserError, match=r"with observations Box\(.*\(2,\), float32\), got Box\(.*\(4,\), float32\)"):
        train(TrainConfig("CartPole-MDP", **ONLINE, init=offline.folder))


def test_weights_are_taken_over_by_a_model_of_ones_own(inside: Path, offline: Run) -> None:
    recipe = load_run_settings(offline.folder).recipe
    env = normalized_as_in(offline.folder, make_environments("CartPole-POMDP-v0", {}, recipe, 1, 0), recipe)
    loaded = RecurrentPPO.load(offline.folder / "model.zip", env=env, device="cpu")
    loaded.learn(256)
    fresh = RecurrentPPO("MlpGruPolicy", env, policy_kwargs=loaded.policy_kwargs, device="cpu")
    load_weights(offline.folder, fresh)
    assert torch.equal(fresh.policy.action_net.weight, weights(offline.folder)["action_net.weight"])

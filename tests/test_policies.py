"""The seam to Stable-Baselines3 and to stock sb3-contrib."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sb3_contrib
import torch
from gymnasium import spaces
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv

from rl_larnn.agents import RecurrentPPO
from rl_larnn.memories import MEMORIES
from rl_larnn.policies import (
    POLICY_ALIASES,
    MemoryActorCriticPolicy,
    MlpAarenPolicy,
    MlpLarnnPolicy,
    MultiInputAarenPolicy,
)
from tests.toy_envs import RandomSpaces, RecallFirst

SMALL: dict[str, Any] = {"hidden_size": 8}


def recall() -> DummyVecEnv:
    env = DummyVecEnv([RecallFirst for _ in range(3)])
    env.seed(0)
    return env


@pytest.mark.parametrize(
    ("policy", "mode"), [(MlpLarnnPolicy, "separate"), (MlpAarenPolicy, "shared"), (MlpAarenPolicy, "none")]
)
def test_stock_sb3_contrib_trains_saves_loads_and_predicts(
    policy: type[MemoryActorCriticPolicy], mode: str, tmp_path: Path
) -> None:
    options = {"memory_kwargs": SMALL, "critic_memory": mode}
    model = sb3_contrib.RecurrentPPO(
        policy, recall(), n_steps=16, batch_size=16, n_epochs=2, seed=0, policy_kwargs=options
    )
    before = torch.nn.utils.parameters_to_vector(model.policy.parameters()).clone()
    model.learn(96)
    after = torch.nn.utils.parameters_to_vector(model.policy.parameters())
    assert not torch.equal(before, after)
    model.save(tmp_path / "stock")
    loaded = sb3_contrib.RecurrentPPO.load(tmp_path / "stock")
    returns = [evaluate_policy(m, recall(), 20, warn=False, return_episode_rewards=True) for m in (model, loaded)]
    assert returns[0] == returns[1]


@pytest.mark.parametrize("memory", MEMORIES)
def test_stock_minibatches_have_ratio_one(memory: str) -> None:
    """Our policy evaluates sb3-contrib's padded sequences, whose states are reset by a product."""
    model = sb3_contrib.RecurrentPPO(
        MemoryActorCriticPolicy, recall(), n_steps=16, batch_size=16, seed=0,
        policy_kwargs={"memory": memory, "memory_kwargs": SMALL},
    )  # fmt: skip
    _, callback = model._setup_learn(1000, None)
    for _ in range(2):
        model.collect_rollouts(model.env, callback, model.rollout_buffer, 16)
    for batch in model.rollout_buffer.get(16):
        values, log_prob, _ = model.policy.evaluate_actions(
            batch.observations, batch.actions.long().flatten(), batch.lstm_states, batch.episode_starts
        )
        mask = batch.mask > 0.5
        torch.testing.assert_close(log_prob[mask], batch.old_log_prob[mask], rtol=0, atol=1e-5)
        torch.testing.assert_close(values.flatten()[mask], batch.old_values[mask], rtol=1e-5, atol=1e-5)


def test_stock_sb3_contrib_with_dict_observations() -> None:
    space = spaces.Dict({"a": spaces.Box(-1, 1, (2,), np.float32), "b": spaces.Discrete(3)})
    env = DummyVecEnv([lambda: RandomSpaces(space, spaces.Discrete(2))])
    model = sb3_contrib.RecurrentPPO(MultiInputAarenPolicy, env, n_steps=16, batch_size=8, n_epochs=1)
    model.learn(32)


def test_archives_find_the_class_of_every_alias_by_its_module_and_name() -> None:
    for policy in POLICY_ALIASES.values():
        assert policy.__module__ == "rl_larnn.policies"
        assert getattr(sys.modules["rl_larnn.policies"], policy.__name__) is policy


@pytest.mark.parametrize("name", ["MlpMemoryPolicy", "CnnMemoryPolicy", "MultiInputMemoryPolicy", "MlpAarenPolicy"])
def test_policies_are_chosen_by_alias(name: str) -> None:
    image = spaces.Box(0, 255, (3, 36, 36), np.uint8)
    space = {"Cnn": image, "Mul": spaces.Dict({"v": spaces.Box(-1, 1, (2,), np.float32)})}.get(name[:3])
    env = DummyVecEnv([lambda: RandomSpaces(space, spaces.Discrete(2))]) if space is not None else recall()
    model = RecurrentPPO(name, env, n_steps=8, batch_size=8, policy_kwargs={"memory_kwargs": SMALL})
    assert type(model.policy) is POLICY_ALIASES[name]


def test_memory_parameters_are_initialised_orthogonally() -> None:
    def recurrent(ortho: bool) -> torch.Tensor:
        options = {"memory": "lstm", "memory_kwargs": SMALL, "ortho_init": ortho}
        model = RecurrentPPO("MlpMemoryPolicy", recall(), policy_kwargs=options, seed=0)
        return model.policy.actor_memory.layers[0].hidden_to_gates.weight.detach()

    for block in recurrent(True).split(8):
        torch.testing.assert_close(block @ block.t(), torch.eye(8), rtol=0, atol=1e-5)
    assert (recurrent(False)[:8] @ recurrent(False)[:8].t() - torch.eye(8)).abs().max() > 0.1


def test_every_parameter_is_trained() -> None:
    for mode in ("separate", "shared", "none"):
        model = RecurrentPPO("MlpAarenPolicy", recall(), policy_kwargs={"critic_memory": mode, "memory_kwargs": SMALL})
        optimised = {id(p) for group in model.policy.optimizer.param_groups for p in group["params"]}
        assert optimised == {id(p) for p in model.policy.parameters()}


def test_a_critic_without_memory_values_the_present_alone() -> None:
    options = {"critic_memory": "none", "memory_kwargs": SMALL}
    policy = RecurrentPPO("MlpGruPolicy", recall(), policy_kwargs=options).policy
    obs = torch.randn(4, 2, 2, generator=torch.Generator().manual_seed(0))
    actions, starts = torch.zeros(4, 2, dtype=torch.long), torch.zeros(4, 2, dtype=torch.bool)
    found, expected = (
        policy.evaluate_chunks(obs[part], actions[part], policy.initial_state(2), starts[part]).values[-1]
        for part in (slice(0, 4), slice(3, 4))
    )
    torch.testing.assert_close(found, expected)


def test_predict_warns_when_the_memory_is_forgotten() -> None:
    model = RecurrentPPO("MlpGruPolicy", recall(), policy_kwargs={"memory_kwargs": SMALL})
    obs = model.env.reset()
    _, state = model.predict(obs, episode_start=np.ones(3, dtype=bool))
    model.predict(obs, state=state)
    model.predict(obs)
    with pytest.warns(UserWarning, match="twice without state and episode_start"):
        model.predict(obs)


def test_predict_takes_single_observations_and_resets_rows() -> None:
    model = RecurrentPPO("MlpAarenPolicy", recall(), policy_kwargs={"memory_kwargs": SMALL}, seed=0)
    one = np.array([1.0, 0.0], np.float32)
    action, fresh = model.predict(one, episode_start=np.array([True]))
    assert action.shape == ()
    _, state = model.predict(-one, state=fresh, episode_start=np.array([False]))
    _, again = model.predict(one, state=state, episode_start=np.array([True]))
    for a, b in zip(fresh, again, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"memory": "larn"}, "unknown memory 'larn'; did you mean larnn"),
        ({"memory_kwargs": {"head": 2}}, "memory 'aaren' has no option 'head'; did you mean heads"),
        ({"critic_memory": "seperate"}, "critic_memory must be one of .*did you mean 'separate'"),
        ({"lstm_hidden_size": 64}, "lstm_hidden_size is an option of sb3-contrib.*hidden_size"),
        ({"critic_memory": "shared", "share_features_extractor": False}, "needs share_features_extractor=True"),
    ],
)
def test_wrong_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        RecurrentPPO("MlpAarenPolicy", recall(), policy_kwargs=options)


def test_a_policy_knows_where_its_parameters_are() -> None:
    policy = RecurrentPPO(MlpAarenPolicy, recall(), device="cpu", policy_kwargs={"memory_kwargs": SMALL}).policy
    assert policy.device == torch.device("cpu")
    assert policy.to("meta").device == torch.device("meta")


def test_a_policy_saves_and_loads_without_its_agent(tmp_path: Path) -> None:
    model = RecurrentPPO("MlpMemoryPolicy", recall(), policy_kwargs={"memory": "gru", "memory_kwargs": SMALL})
    model.policy.save(tmp_path / "policy.pt")
    loaded = MemoryActorCriticPolicy.load(tmp_path / "policy.pt")
    for a, b in zip(model.policy.parameters(), loaded.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)

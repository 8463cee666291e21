"""Baselines: agents of others under the same commands, with the same inputs and as many units."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO

from rl_larnn.agents.evaluation.load import load_run
from rl_larnn.agents.settings.baselines import BASELINES, Baseline
from rl_larnn.agents.settings.environments import make_env
from rl_larnn.agents.settings.recipes import Recipe
from rl_larnn.agents.training.run import TrainConfig, resume, train
from rl_larnn.errors import UserError

TINY = {"n_steps": 16, "batch_size": 32, "n_epochs": 1, "hidden_size": 16}


def config(name: str, folder: Path, env: str = "CartPole-POMDP", **settings: object) -> TrainConfig:
    return TrainConfig(
        env,
        name,
        n_timesteps=64,
        n_envs=2,
        settings={**TINY, **settings},
        eval_episodes=2,
        run_dir=folder,
        device="cpu",
    )


@pytest.mark.parametrize("env", ["CartPole-POMDP", "Pendulum-POMDP"])
@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_trains_resumes_and_acts(name: str, env: str, tmp_path: Path) -> None:
    run = train(config(name, tmp_path / "run", env))
    assert run.result.memory == name and run.result.steps == 64
    assert resume(run.folder, n_timesteps=96).result.steps == 96
    loaded = load_run(run.folder)
    assert type(loaded.model) is BASELINES[name].algorithm
    environments = loaded.make_environments(2)
    observation = environments.reset()
    action, _ = loaded.model.predict(observation, None, np.ones(2, bool), deterministic=True)
    assert len(action) == 2
    assert observation.shape == (2, 2 * BASELINES[name].frame_stack)
    environments.close()


def test_a_layer_stands_in_for_the_memory(tmp_path: Path) -> None:
    run = train(config("ppo", tmp_path / "ppo", net_arch={"pi": [24], "vf": [32]}))
    policy = load_run(run.folder).model.policy
    widths = [
        [layer.out_features for layer in net if isinstance(layer, torch.nn.Linear)]
        for net in (policy.mlp_extractor.policy_net, policy.mlp_extractor.value_net)
    ]
    assert widths == [[16, 24], [16, 32]]
    lstm = load_run(train(config("contrib-lstm", tmp_path / "lstm")).folder).model.policy.lstm_actor
    assert lstm.hidden_size == 16


@pytest.mark.parametrize(
    ("net_arch", "expected"),
    [(None, [8, 64, 64]), ([], [8]), ([32], [8, 32])],
)
def test_the_default_layers_are_sb3s(net_arch: list[int] | None, expected: list[int]) -> None:
    arguments = {} if net_arch is None else {"net_arch": net_arch}
    found = Baseline(PPO, "Policy").policy_arguments({**arguments, "critic_memory": "separate"}, hidden_size=8)
    assert found == {"net_arch": {"pi": expected, "vf": expected}}


def test_stacked_frames_are_the_latest_observations_in_order() -> None:
    plain = make_env("CartPole-POMDP-v0", {}, Recipe())
    stacked = make_env("CartPole-POMDP-v0", {}, Recipe(frame_stack=3))
    seen = [plain.reset(seed=5)[0]]
    observation, _ = stacked.reset(seed=5)
    np.testing.assert_array_equal(observation, np.concatenate([np.zeros(4), seen[0]]))
    for action in (0, 1, 1, 0):
        seen.append(plain.step(action)[0])
        observation = stacked.step(action)[0]
    np.testing.assert_array_equal(observation, np.concatenate(seen[-3:]))
    assert stacked.observation_space.contains(observation)


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        ("ppo", {"seq_len": 8}, "unknown setting 'seq_len'"),
        ("ppo", {"critic_memory": "none"}, "unknown setting 'critic_memory'"),
        ("ppo-4-frame", {}, "did you mean ppo-4-frames"),
        ("ppo", {"frame_stack": 0}, "frame_stack=0 expected 1 or more"),
    ],
)
def test_mistakes_are_told_on_one_line(name: str, settings: dict[str, object], words: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        train(config(name, tmp_path / "run", **settings))
    assert words in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()

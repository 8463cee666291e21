"""Baselines: agents of others under the same commands, with the same inputs and as many units."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3 import A2C

from rl_larnn.agents.algorithms import ALGORITHMS, BASELINES, Algorithm
from rl_larnn.agents.evaluation.load import load_run
from rl_larnn.agents.settings.config import Settings, resolve
from rl_larnn.agents.settings.environments import make_env
from rl_larnn.agents.settings.recipes import Recipe
from rl_larnn.agents.training import TrainConfig, resume, train
from rl_larnn.errors import UserError
from tests.script_cases import caller

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


@pytest.mark.parametrize(
    ("name", "env"),
    [
        *((name, "CartPole-POMDP") for name in BASELINES),
        *((name, "Pendulum-POMDP") for name in ("ppo", "contrib-lstm")),
    ],
)
def test_every_baseline_trains_resumes_and_acts(name: str, env: str, tmp_path: Path) -> None:
    run = train(config(name, tmp_path / "run", env))
    assert (run.result.method, run.result.algorithm, run.result.memory) == (name, name, None) and run.result.steps == 64
    assert resume(run.folder, n_timesteps=96).result.steps == 96
    loaded = load_run(run.folder)
    assert type(loaded.model) is ALGORITHMS[name].learner
    environments = loaded.make_environments(2)
    observation = environments.reset()
    action, _ = loaded.model.predict(observation, None, np.ones(2, bool), deterministic=True)
    assert len(action) == 2
    assert observation.shape == (2, 2 * ALGORITHMS[name].frame_stack)
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
    found = ALGORITHMS["ppo"].policy_arguments(arguments, None, {"hidden_size": 8})
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


def test_an_algorithm_may_stand_in_the_place_of_a_memory() -> None:
    name = "ppo-4-frames"
    settings = resolve(TrainConfig("CartPole-POMDP", algorithm=name))
    assert settings == resolve(TrainConfig("CartPole-POMDP", memory=name))
    assert (settings.algorithm, settings.memory, settings.method) == (name, None, name)
    with pytest.raises(UserError, match="the algorithm ppo takes no memory, got the memory gru: leave one of them out"):
        resolve(TrainConfig("CartPole-POMDP", "gru", algorithm="ppo"))
    with pytest.raises(UserError, match="unknown algorithm 'pp'; did you mean ppo"):
        resolve(TrainConfig("CartPole-POMDP", algorithm="pp"))


def test_settings_of_earlier_revisions_are_read() -> None:
    """They knew one algorithm, called its arguments ``ppo``, and named baselines in the place of the memory."""
    for name in ("ppo-4-frames", "gru"):
        settings = resolve(TrainConfig("CartPole-POMDP", name))
        data = settings.to_json()
        del data["recipe"]["algorithm"]
        data["recipe"]["ppo"] = data["recipe"].pop("arguments")
        data["memory"] = data["recipe"]["memory"] = name
        assert Settings.from_json(json.loads(json.dumps(data))) == settings


def test_a_method_names_the_algorithm_unless_it_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ALGORITHMS, "mine", ALGORITHMS["recurrent-ppo"])
    names = {("recurrent-ppo", "gru"): "gru", ("mine", "gru"): "mine-gru", ("ppo", None): "ppo"}
    for (algorithm, memory), name in names.items():
        settings = resolve(TrainConfig("CartPole-POMDP", memory, algorithm=algorithm))
        assert settings.method == name and settings.recipe.memory_options.keys() == {"hidden_size"}


class TwoStepA2C(A2C):
    """An algorithm of one's own: A2C that learns from two steps at a time, unless told otherwise."""

    def __init__(self, policy: Any, env: Any, n_steps: int = 2, **kwargs: Any) -> None:
        super().__init__(policy, env, n_steps=n_steps, **kwargs)


def test_a_new_algorithm_is_a_class_and_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setitem(ALGORITHMS, "two-step-a2c", Algorithm(TwoStepA2C))
    monkeypatch.chdir(tmp_path)
    call = caller("train_agent", monkeypatch, capsys)
    options = ["--set", "n_steps=4", "--set", "rms_prop_eps=1e-4", "--eval-episodes", "2"]
    status, out, _ = call("--env", "CartPole-POMDP", "--algo", "two-step-a2c", "-n", "64", *options)
    assert status == 0 and "two-step-a2c" in out
    run = load_run("runs/CartPole-POMDP-v0/two-step-a2c-s0")
    assert type(run.model) is TwoStepA2C and run.model.n_steps == 4 and run.settings.method == "two-step-a2c"
    assert call("--resume", str(run.folder), "-n", "96")[0] == 0
    monkeypatch.delitem(ALGORITHMS, "two-step-a2c")
    with pytest.raises(UserError, match="unknown algorithm 'two-step-a2c'"):
        load_run(run.folder)

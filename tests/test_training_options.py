"""All options of training together: as settings of a run, after a resume, and learning a task of recall."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from option_cases import agent
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv
from toy_envs import RecallFirst

from rl_larnn.agents import RecurrentPPO
from rl_larnn.agents.runs.settings_file import load_settings
from rl_larnn.agents.runs.state import load_checkpoint
from rl_larnn.agents.training.run import TrainConfig, resume, train

OPTIONS = {
    "memory_learning_rate": 0.3,
    "refresh_states": True,
    "min_entropy": 0.5,
    "kickstart_coef": 0.1,
    "horizon": 100,
}
TINY = {"n_steps": 16, "batch_size": 32, "n_epochs": 2, "seq_len": 8, "hidden_size": 8}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("options") / "run"
    config = TrainConfig("CartPole-POMDP", "lstm", settings={**TINY, **OPTIONS}, device="cpu", run_dir=folder,
                         n_timesteps=96, n_envs=2, eval_episodes=2, eval_freq=0)  # fmt: skip
    train(config)
    yield folder


def test_options_are_settings_of_a_run(run: Path) -> None:
    choices = load_settings(run).choices()
    assert {key: choices[key] for key in OPTIONS} == OPTIONS
    recipe = json.loads((run / "config.json").read_text())["recipe"]
    assert recipe["for_memory"]["lstm"]["horizon"] == 100 and recipe["ppo"]["min_entropy"] == 0.5
    header = (run / "progress.csv").read_text().splitlines()[0]
    assert "memory/state_staleness_kl" in header and "train/ent_coef" in header


def test_a_run_goes_on_with_its_options(run: Path) -> None:
    session = load_checkpoint(run, load_settings(run))
    model = session.model
    assert isinstance(model, RecurrentPPO)
    assert (model.memory_learning_rate, model.refresh_states, model.min_entropy) == (0.3, True, 0.5)
    assert model._entropy_floor == pytest.approx(0.5 * math.log(2))
    session.env.close()
    assert resume(run, n_timesteps=128).result.steps == 128


def test_recall_is_learned_with_all_options() -> None:
    """The bit shown three steps ago, as in the test without the options. Seed 0."""
    env = DummyVecEnv([RecallFirst for _ in range(16)])
    options: dict[str, Any] = {"memory_learning_rate": 0.5, "refresh_states": True, "min_entropy": 0.05}
    model = agent("lstm", env, {"hidden_size": 16, "horizon": 8}, learning_rate=3e-3, n_steps=32, batch_size=256,
                  n_epochs=5, seq_len=8, gamma=0.9, policy_kwargs={"net_arch": []}, **options)  # fmt: skip
    model.learn(12_000)
    mean: Any = evaluate_policy(model, DummyVecEnv([RecallFirst for _ in range(5)]), 50, warn=False)[0]
    assert mean > 0.95

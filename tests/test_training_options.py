"""Options of training as settings of a run, and after a resume."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from option_cases import agent, random_env

from rl_larnn.agents import RecurrentPPO
from rl_larnn.agents.runs.folder import load_settings
from rl_larnn.agents.training import TrainConfig, resume, train
from rl_larnn.agents.training.online import online_run
from rl_larnn.agents.training.session import load_checkpoint

OPTIONS = {
    "min_advantage_std": 0.05,
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
    assert recipe["for_memory"]["lstm"]["horizon"] == 100 and recipe["arguments"]["min_advantage_std"] == 0.05
    header = (run / "progress.csv").read_text().splitlines()[0]
    assert "memory/teacher_kl" in header


def test_a_run_goes_on_with_its_options(run: Path) -> None:
    learner = load_checkpoint(run, online_run(load_settings(run))).learner
    model = learner.model
    assert isinstance(model, RecurrentPPO)
    assert model.min_advantage_std == 0.05 and model.teacher is not None
    learner.env.close()
    assert resume(run, n_timesteps=128).result.steps == 128


def test_an_agent_with_a_removed_option_acts_but_does_not_train_on_silently(tmp_path: Path) -> None:
    model = agent()
    model.refresh_states = True  # as in archives of earlier revisions
    model.save(tmp_path / "old")
    old = RecurrentPPO.load(tmp_path / "old", env=random_env(), device="cpu")
    old.predict(np.zeros((1, 3), np.float32), episode_start=np.ones(1, bool))
    with pytest.raises(ValueError, match=r"refresh_states=True, an option that was removed.*refresh_states=False$"):
        old.learn(24)
    RecurrentPPO.load(tmp_path / "old", env=random_env(), device="cpu", refresh_states=False).learn(72)


def test_an_archive_that_names_no_memory_is_of_an_earlier_default(tmp_path: Path) -> None:
    RecurrentPPO("MlpMemoryPolicy", random_env(), policy_kwargs={"memory": "larnn"}, device="cpu").save(
        tmp_path / "old"
    )
    unnamed = {"policy_kwargs": {}}
    with pytest.raises(ValueError, match="do not fit a policy with the memory aaren"):
        RecurrentPPO.load(tmp_path / "old", custom_objects=unnamed, device="cpu")
    named = {"policy_kwargs": {"memory": "larnn"}}
    assert RecurrentPPO.load(tmp_path / "old", custom_objects=named, device="cpu").policy.memory == "larnn"

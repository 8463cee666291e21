"""Mistakes about offline runs, told on one line before anything is made; and what is warned of."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rl_larnn.agents.evaluation.comparison import read_run
from rl_larnn.agents.evaluation.plots import read_curves
from rl_larnn.agents.training import train_offline
from rl_larnn.envs import make
from rl_larnn.errors import UserError
from tests.dataset_cases import TORQUES, VECTOR, random_dataset, random_episode, write_d4rl
from tests.offline_cases import config
from tests.training_cases import Told


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"dataset": "CartPole-POMDP/randon"}, r"unknown dataset .*randon'; the nearest names .*random-v0"),
        ({"dataset": "nothing.hdf5"}, "nothing.hdf5"),
        ({"memory": "ppo"}, "offline learning takes a memory, got the baseline 'ppo'; without memory: none"),
        ({"memory": "gruu"}, "unknown memory 'gruu'; did you mean gru"),
        ({"clone": True, "target_return": 1.0}, "cloning has no target return: leave out clone or target_return=1"),
        ({"env": "CartPole-POMDP"}, r"CartPole-POMDP-v0 doesn't fit the dataset .*expected .* got"),
        ({"env": "CartPool"}, "CartPool"),
        ({"best": 2.0}, "best must be a number above 0 and at most 1, a share of the steps, got 2.0"),
        ({"updates": 0}, "updates must be a whole number of at least 1, got 0"),
        ({"settings": {"seq_length": 3}}, "unknown setting 'seq_length'; did you mean seq_len"),
        ({"settings": {"frame_stack": 2}}, "one observation at a time, got frame_stack=2"),
        ({"settings": {"heads": 3}, "memory": "aaren"}, "heads must divide hidden_size"),
        ({"settings": {"target_return": 4}}, "target_return is no setting but an option of its own"),
        ({"settings": {"updates": 5}}, "updates is given twice, as 12 and as the setting 5: leave one out"),
        ({"settings": {"hidden_size": 0}}, "hidden_size must be at least 1, got 0"),
        ({"settings": ["a=1"]}, r"settings expects names and values, such as {'a': 1}, got \['a=1'\]"),
        ({"env_kwargs": None}, r"env_kwargs expects names and values, such as {'a': 1}, got None"),
        ({"dataset": None}, "dataset expects an id or a path, got NoneType"),
        ({"dataset": random_dataset([2])}, "dataset expects an id or a path, got Dataset; pass its name"),
        ({"memory": 3}, "memory must be a name"),
        ({"device": "tpu"}, "expected the device auto, cpu, cuda"),
        ({"seed": -1}, "seed must be a whole number of at least 0"),
    ],
)
def test_mistakes_are_told_before_anything_is_made(inside: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        train_offline(config(**changes))
    assert not (inside / "runs").exists()


def test_nothing_is_written_over(inside: Path) -> None:
    (inside / "mine").mkdir()
    with pytest.raises(UserError, match="the run folder mine exists already"):
        train_offline(config(run_dir="mine"))


def test_data_that_are_no_numbers_are_found(inside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = random_dataset([5, 3], env_id="Pendulum-v1", observation_space=VECTOR, action_space=TORQUES)
    dataset.columns.rewards[6] = np.nan
    monkeypatch.setattr("rl_larnn.envs.datasets.load_cached", lambda *_, **__: dataset)
    with pytest.raises(UserError, match=r"random, episode 1: rewards: expected finite numbers, got NaN"):
        train_offline(config())


def test_a_target_far_outside_the_data_is_warned_of(inside: Path) -> None:
    told = Told()
    train_offline(config(target_return=50.0, updates=1), told)
    assert re.fullmatch(
        r"the target return 50 is far outside of .*, whose episodes return -1 to 1 .*", told.warnings[0]
    )


def test_actions_that_the_environment_cuts_off_are_warned_of(inside: Path) -> None:
    env = make("Pendulum-v1")
    episodes = [random_episode(8, np.random.default_rng(0), env.observation_space, env.action_space) for _ in range(2)]
    path, told = inside / "mine.hdf5", Told()
    for torque in (2.0 + 1e-6, 5.0):
        actions = np.zeros((16, 1), np.float32)
        actions[:4] = torque
        write_d4rl(path, episodes, actions=actions)
        train_offline(config(dataset=path, env="Pendulum-v1", updates=1), told)
    assert len(told.warnings) == 1, "only of the actions that are clearly outside"
    assert re.match(
        r"25.0% of the actions of .*mine.hdf5, which go from 0 to 5, are outside of Box\(-2, 2", told.warnings[0]
    )


def test_runs_that_learned_from_data_are_no_curves_over_steps(inside: Path) -> None:
    folder = train_offline(config(updates=1)).folder
    for read in (read_run, lambda one: read_curves([one])):
        with pytest.raises(UserError, match=f"the run {folder} learned from data"):
            read(folder)

"""Offline runs that were cut off, or are trained longer."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rl_larnn.agents import RecurrentPPO
from rl_larnn.agents.offline.config import load_offline_settings
from rl_larnn.agents.runs.logs import CURVE
from rl_larnn.agents.training import TrainConfig, resume_offline, train, train_offline
from rl_larnn.agents.training.offline import DataLearner
from rl_larnn.envs.datasets import local_ids, store_minari
from rl_larnn.errors import Interrupted, UserError
from tests.dataset_cases import TORQUES, VECTOR, random_dataset, random_episode, write_d4rl
from tests.offline_cases import PENDULUM, TINY, config, weights
from tests.training_cases import OnMessage


def test_a_run_whose_data_are_gone_or_others_says_so(inside: Path) -> None:
    episodes = [random_episode(9, np.random.default_rng(seed), VECTOR, TORQUES) for seed in range(4)]
    about = {"env": "Pendulum-v1", "dataset": inside / "mine.hdf5", "updates": 2}
    path = write_d4rl(inside / "mine.hdf5", episodes, actions=np.zeros((36, 1), np.float32))
    folder = train_offline(config(**about)).folder
    write_d4rl(path, episodes, actions=np.ones((36, 1), np.float32))
    with pytest.raises(UserError, match=r"the dataset .*mine\.hdf5 has changed since the run started: start a new one"):
        resume_offline(folder, updates=3)
    path.unlink()
    with pytest.raises(UserError, match=r"mine\.hdf5: no such file"):
        resume_offline(folder, updates=3)


@pytest.mark.parametrize("content", [b"", b"memory"])
def test_a_damaged_memory_is_told(inside: Path, content: bytes) -> None:
    folder = train_offline(config()).folder
    (folder / "checkpoint/memory.pt").write_bytes(content)
    with pytest.raises(UserError, match="expected the state of a run, got a foreign file"):
        resume_offline(folder, updates=20)


@pytest.mark.parametrize("batches", ["streams", "windows", "episodes"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_was_cut_off_ends_as_if_it_had_not_been(inside: Path, batches: str, number: int) -> None:
    settings = {**TINY, "batches": batches, "seq_len": 4}
    whole = train_offline(config(settings=settings, run_dir="whole"))
    with pytest.MonkeyPatch.context() as patch:
        update = DataLearner._update

        def interrupted_update(learner: DataLearner) -> Any:
            record = update(learner)
            if learner.done == 7:
                signal.raise_signal(number)
            return record

        patch.setattr(DataLearner, "_update", interrupted_update)
        with pytest.raises(Interrupted) as stop:
            train_offline(config(settings=settings, run_dir="cut"))
    assert (stop.value.steps, stop.value.number) == (7, number)
    run = resume_offline("cut")
    for key, value in weights(whole.folder).items():
        assert torch.equal(weights(run.folder)[key], value), key
    assert run.result.evaluations == whole.result.evaluations
    lines = [(folder / CURVE).read_text().splitlines() for folder in (whole.folder, run.folder)]
    column = lines[0][0].split(",").index("train/loss")
    assert [line.split(",")[column] for line in lines[0]] == [line.split(",")[column] for line in lines[1]]


def test_a_finished_run_can_be_trained_longer(inside: Path) -> None:
    run = train_offline(config())
    with pytest.raises(UserError, match=r"is finished: 12 updates of 12; .* such as -n 24"):
        resume_offline(run.folder)
    longer = resume_offline(run.folder, updates=15)
    assert longer.result.updates == 15 and load_offline_settings(run.folder).plan.updates == 15


def test_an_offline_run_is_trained_by_one_process_at_a_time(inside: Path) -> None:
    folder = train_offline(config()).folder

    def meanwhile() -> None:
        with pytest.raises(UserError, match="another process is training the run"):
            resume_offline(folder, updates=20)

    assert resume_offline(folder, updates=15, reporter=OnMessage(meanwhile)).result.updates == 15
    (folder / "result.json").unlink()
    with pytest.raises(UserError, match="has done 15 updates already, got 9: leave it out to continue to 15"):
        resume_offline(folder, updates=9)


def test_a_run_online_is_not_continued_offline(inside: Path) -> None:
    train(TrainConfig("CartPole-POMDP", "gru", 256, n_envs=1, eval_episodes=1, device="cpu", run_dir="online"))
    with pytest.raises(UserError, match=r"was trained online: continue it with train_agent\.py --resume online"):
        resume_offline("online")


def test_a_loss_that_is_no_number_ends_the_run(inside: Path) -> None:
    with pytest.raises(UserError, match="training diverged by update"):
        train_offline(config(settings={**TINY, "learning_rate": 1e38, "warmup": 0.0}))
    assert (Path("runs/TMazePassive-10-corridor-5-mixed50-v0/gru-s0/checkpoint")).is_dir()


@pytest.mark.parametrize("changes", [{"eval_freq": 1}, {"eval_freq": 0}, {"eval_freq": 0, "checkpoint_freq": 1}])
def test_weights_that_are_no_numbers_are_neither_tried_nor_saved(inside: Path, changes: dict[str, int]) -> None:
    """Distributions of continuous actions refuse them, which is no message for a user."""
    dataset = random_dataset([20] * 4, env_id="Pendulum-v1", observation_space=VECTOR, action_space=PENDULUM)
    store_minari(dataset, "Pendulum/some-v0") if "Pendulum/some-v0" not in local_ids() else None
    with pytest.raises(UserError, match="training diverged by update"):
        train_offline(
            config(dataset="Pendulum/some", **changes, settings={**TINY, "learning_rate": 1e38, "warmup": 0.0})
        )
    saved = RecurrentPPO.load(Path("runs/Pendulum-some-v0/gru-s0/checkpoint/model.zip"), device="cpu")
    assert all(bool(weight.isfinite().all()) for weight in saved.policy.parameters())

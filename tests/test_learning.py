"""What agents learn with the recipes of their tasks: minutes each, so not in the default run."""

from __future__ import annotations

from pathlib import Path

import pytest

from rl_larnn.agents.training import TrainConfig, train
from rl_larnn.envs import TASKS

TASK = TASKS["CartPole-POMDP-v0"]


@pytest.mark.slow
@pytest.mark.parametrize("memory", ["aaren", "larnn", "lstm", "gru"])
def test_memories_solve_cartpole_without_velocities(memory: str, tmp_path: Path) -> None:
    """Seed 0, 100 fresh episodes: at least the threshold of 475; with its memory wiped the agent falls to the floor."""
    result = train(TrainConfig(env=TASK.id, memory=memory, run_dir=tmp_path / "run", device="cpu")).result
    assert result.mean_return >= TASK.reward_threshold
    assert result.mean_return_reset < 100


@pytest.mark.slow
def test_the_control_stays_at_the_floor(tmp_path: Path) -> None:
    result = train(TrainConfig(env=TASK.id, memory="none", run_dir=tmp_path / "run", device="cpu")).result
    assert result.mean_return < 60


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "bar"),
    [
        ("RepeatFirstHard-v0", 0.9),
        ("RepeatPreviousEasy-v0", 0.95),
        ("RepeatPreviousMedium-v0", 0.5),
        ("Autoencode-8-v0", 0.5),
        ("CountRecallEasy-v0", 0.2),
    ],
)
def test_aaren_recalls(task: str, bar: float, tmp_path: Path) -> None:
    """Seed 0, with much room below what five seeds reach."""
    result = train(TrainConfig(task, "aaren", run_dir=tmp_path / "run", device="cpu")).result
    assert result.mean_return >= bar

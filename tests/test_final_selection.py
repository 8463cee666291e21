"""The agent of a run is the one of its best checkpoints that is best on the same fresh episodes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from stable_baselines3.common.vec_env import VecEnv

from rl_larnn.agents.evaluation.evaluate import Evaluation
from rl_larnn.agents.recurrent_ppo import RecurrentPPO
from rl_larnn.agents.training import Run, TrainConfig, finish, loop, resume, selection, train
from rl_larnn.agents.training.selection import top_checkpoints
from rl_larnn.errors import Interrupted, UserError
from tests.training_cases import TINY, interrupt

ROLLOUT = 32
CONFIG = TrainConfig(
    "CartPole-POMDP", "gru", 5 * ROLLOUT, n_envs=2, settings=TINY, eval_episodes=2, device="cpu", eval_freq=ROLLOUT
)

Trained = Callable[[list[float], list[float]], Run]


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trained:
    """A run whose evaluations and final selection end as planned."""

    def run(periodic: list[float], final: list[float]) -> Run:
        for module, returns in ((loop, periodic), (selection, final)):
            monkeypatch.setattr(module, "evaluate", lambda *a, left=returns: Evaluation((left.pop(0),), (7,)))
        done = train(replace(CONFIG, n_timesteps=len(periodic) * ROLLOUT, run_dir=tmp_path / "run"))
        assert periodic == final == []
        return done

    return run


def assert_is_the_agent_of_the_run(run: Run, steps: int) -> None:
    """Weights and statistics of the agent that had learned from so many steps."""
    folder = run.folder / "best" / str(steps)
    weights = [
        RecurrentPPO.load(place / "model.zip", device="cpu").policy.state_dict() for place in (run.folder, folder)
    ]
    torch.testing.assert_close(*weights, rtol=0, atol=0)
    assert (run.folder / "vecnormalize.pkl").read_bytes() == (folder / "vecnormalize.pkl").read_bytes()
    assert run.result.best_at == steps


def test_the_best_in_the_final_selection_is_the_agent_of_the_run(trained: Trained) -> None:
    """Evaluations put the agents of steps 64, 160, 96 and 128 in this order; the third of these plays best."""
    run = trained([1, 9, 5, 3, 7], [20, 10, 30, 25])
    assert run.result.final_selection == [[96, 30], [128, 25], [64, 20], [160, 10]]
    assert_is_the_agent_of_the_run(run, 96)


def test_the_later_of_equals_wins(trained: Trained) -> None:
    run = trained([9, 5, 5], [30, 30, 29])
    assert run.result.final_selection == [[96, 30], [32, 30], [64, 29]]
    assert_is_the_agent_of_the_run(run, 96)


def test_a_single_checkpoint_need_not_play(trained: Trained) -> None:
    run = trained([4], [])
    assert run.result.final_selection == []
    assert_is_the_agent_of_the_run(run, 32)


def test_all_begin_the_same_fresh_episodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[np.ndarray] = []

    def look(model: RecurrentPPO, env: VecEnv, n_episodes: int) -> Evaluation:
        env.reset()
        begun.append(env.get_original_obs())  # type: ignore[attr-defined]
        assert n_episodes == env.num_envs and not env.training  # type: ignore[attr-defined]
        return Evaluation((0.0,), (7,))

    for module in (loop, selection):
        monkeypatch.setattr(module, "evaluate", look)
    train(replace(CONFIG, run_dir=tmp_path / "run"))
    *periodic, first, second, third, fourth = begun
    assert len(periodic) == 5 and len(first) == selection.EPISODES
    for other in (second, third, fourth):
        np.testing.assert_array_equal(other, first)
    assert not np.isin(first[:, 0], np.concatenate(periodic)[:, 0]).any(), "nothing that was played before"


def test_an_interrupted_final_selection_is_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "evaluate", interrupt)
    with pytest.raises(Interrupted):
        train(replace(CONFIG, run_dir=tmp_path / "run"))
    monkeypatch.undo()
    shutil.copytree(tmp_path / "run", tmp_path / "again")
    first, second = (resume(tmp_path / name).result for name in ("run", "again"))
    assert first.final_selection == second.final_selection and len(first.final_selection) == 4


def test_a_damaged_record_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finish, "final_selection", lambda session: {})
    run = train(replace(CONFIG, run_dir=tmp_path / "run"))
    (top_checkpoints(run.folder)[0].folder / "trial.json").write_text("{")
    with pytest.raises(UserError, match=r"trial\.json"):
        top_checkpoints(run.folder)

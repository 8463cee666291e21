"""Certificates as a whole: small tasks, stock agents, files, the script, and ten tasks of which the answer is known."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from sb3_contrib import RecurrentPPO as StockRecurrentPPO
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.env_util import make_vec_env

from rl_larnn.agents import RecurrentPPO
from rl_larnn.agents.certificate import Certificate, certify, paragraph, save_certificate, training
from rl_larnn.agents.certificate.certify import _state_rows
from rl_larnn.agents.certificate.evaluator import Costs, choose_episodes, choose_search_steps
from rl_larnn.agents.certificate.policies import Frames
from rl_larnn.agents.certificate.report import markdown
from rl_larnn.agents.evaluation.load import load_run
from rl_larnn.agents.training import TrainConfig, train
from rl_larnn.errors import UserError
from tests.certificate_cases import Echo, First, Idle, Present, side_by_side
from tests.script_cases import caller
from tests.toy_envs import RandomSpaces, RecallFirst

# ---------------------------------------------------------------------- the whole


def small(model: Any, make: Callable[[], gym.Env], **options: Any) -> Certificate:
    """A certificate with the least of everything."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "ROLLOUT", 512)
        patch.setattr(training, "UPDATES", 30)
        patch.setattr(training, "LAST_UPDATES", 150)
        return certify(model, side_by_side(make), episodes=32, search_steps=512, **options)


@pytest.fixture(scope="module")
def remembering() -> Certificate:
    return small(First(), lambda: RecallFirst(6), ceiling=1.0)


def test_a_task_of_memory_and_an_agent_that_has_it(remembering: Certificate) -> None:
    assert remembering.environment.verdict == "needs memory", remembering.environment
    assert remembering.memory.verdict == "yes"
    assert remembering.environment.scores["student of the agent, shown its memory"].mean > 0.95
    assert remembering.gain.gain is not None and remembering.gain.gain.mean == 1
    assert (remembering.plan.episodes, remembering.plan.search_steps) == (32, 512)
    text = paragraph(remembering)
    assert "RecallFirst needs memory" in text and "uses its memory" in text and "0% is left" in text
    assert "episodes=32, search_steps=512, seed=0, 16 environments" in markdown(remembering, None)


def test_an_agent_without_memory_of_ours_has_none() -> None:
    """It carries numbers from step to step, as stock code expects, and they stand for nothing."""
    env = side_by_side(lambda: RecallFirst(6), 2)
    for memory, remembers in (("none", False), ("gru", True)):
        kwargs = {"memory": memory, "memory_kwargs": {"hidden_size": 8}}
        model = RecurrentPPO("MlpMemoryPolicy", env, n_steps=8, batch_size=8, device="cpu", policy_kwargs=kwargs)
        assert _state_rows(model, env)[0] is remembers


def test_an_agent_learned_off_policy_has_a_ppo_baseline_too() -> None:
    """SAC's entropy coefficient is text, or in another unit."""
    env = make_vec_env("Pendulum-v1", n_envs=2)
    agent = SAC("MlpPolicy", env, policy_kwargs={"net_arch": [8]}, device="cpu")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "ROLLOUT", 256)
        training.train_ppo(env, Frames(env.observation_space, 1), 256, 0, agent)


def test_fixed_counts_give_the_same_certificate_again(remembering: Certificate) -> None:
    again = small(First(), lambda: RecallFirst(6), ceiling=1.0)
    assert replace(again, wall_s=0) == replace(remembering, wall_s=0)


def test_the_same_task_with_an_agent_that_knows_nothing_cannot_be_told() -> None:
    class Zero:
        def predict(self, observation: Any, state: Any, episode_start: np.ndarray, deterministic: bool) -> Any:
            return np.zeros(len(observation), int), None

    # An episode that no four frames cover, and an agent that never learned.
    found = small(Zero(), lambda: RecallFirst(8), ceiling=1.0)
    assert found.environment.verdict == "cannot tell" and found.memory.verdict == "no"
    assert "no memory to use" in paragraph(found) and "cannot be told" in paragraph(found)


@pytest.mark.parametrize("algorithm", [PPO, StockRecurrentPPO])
def test_stock_agents_can_be_certified(algorithm: type[PPO] | type[StockRecurrentPPO]) -> None:
    recurrent = algorithm is StockRecurrentPPO
    env = side_by_side(lambda: RecallFirst(4))
    model = algorithm("MlpLstmPolicy" if recurrent else "MlpPolicy", env, n_steps=16, batch_size=64, device="cpu")
    found = small(model, lambda: RecallFirst(4))
    # Neither has learned anything.
    assert found.agent == algorithm.__name__ and found.environment.verdict != "does not need memory"
    assert found.memory.verdict != "yes" and ("no memory to use" in found.memory.reason) != recurrent
    assert (found.memory.swapped is not None) == recurrent


def test_a_task_that_needs_no_memory_is_found_out_by_imitation() -> None:
    found = small(Idle(2), Echo, ceiling=24.0)
    assert found.environment.verdict == "does not need memory" and found.memory.verdict == "no"
    # Nothing more had to be tried.
    assert "memoryless PPO" not in found.environment.scores


def test_counts_follow_from_costs() -> None:
    quick, slow = Costs(50, 1e-3, 2e-3, 1e-4), Costs(1000, 2e-2, 3e-2, 1e-3)
    assert choose_episodes(quick, 150, 32) == 256 and choose_episodes(slow, 150, 32) == 32
    assert choose_episodes(slow, 150, 1) == 32
    assert choose_search_steps(quick, 60, 32, 96) > choose_search_steps(quick, 30, 32, 96) > 8192
    assert choose_search_steps(slow, 1, 32, 32) == 8192


def test_files_are_whole_and_never_written_over(remembering: Certificate, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    first, second = (save_certificate(remembering, tmp_path) for _ in "ab")
    assert {path.name for path in first} == {"certificate.json", "certificate.md", "certificate.png"}
    assert {path.name for path in second} == {"certificate-2.json", "certificate-2.md", "certificate-2.png"}
    assert sorted(tmp_path.iterdir()) == sorted(first + second)
    data = json.loads((tmp_path / "certificate.json").read_text())
    assert data["environment"]["verdict"] == "needs memory" and data["plan"]["episodes"] == 32
    assert data["environment"]["scores"]["the agent"] == {"mean": 1, "low": 1, "high": 1, "count": 32}
    assert "certificate-2.png" in (tmp_path / "certificate-2.md").read_text()


def test_mistakes_are_refused() -> None:
    env = side_by_side(Echo)
    for options in ({"budget_s": 0.0}, {"episodes": 0}, {"search_steps": -1}):
        with pytest.raises(UserError, match="must be positive"):
            certify(Present(), env, **options)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="expected at least 11 episodes, fewer say nothing, got 2"):
        certify(Present(), env, episodes=2)
    with pytest.raises(UserError, match="nearest names"):
        certify(Present(), "CartPole-POMPD")
    other = Present()
    other.observation_space = spaces.Box(-1, 1, (2,), np.float32)  # type: ignore[attr-defined]
    with pytest.raises(UserError, match="with the same wrappers"):
        certify(other, env)


def test_discrete_and_dict_observations_and_box_actions_pass_through() -> None:
    class Still:
        def predict(self, observation: Any, state: Any, episode_start: np.ndarray, deterministic: bool) -> Any:
            return np.zeros((len(episode_start), 2), np.float32), np.zeros((len(episode_start), 1), np.float32)

    space = spaces.Dict({"a": spaces.Discrete(3), "b": spaces.Box(-1, 1, (2, 2), np.float32)})
    found = small(Still(), lambda: RandomSpaces(space, spaces.Box(-1, 1, (2,), np.float32)))
    assert found.memory.verdict in ("no", "cannot tell") and found.environment.verdict != "does not need memory"


def test_the_script_certifies_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {"n_steps": 16, "batch_size": 32, "n_epochs": 1, "seq_len": 16, "hidden_size": 8}
    run = tmp_path / "run"
    train(TrainConfig("CartPole-POMDP", "gru", 64, n_envs=2, settings=settings, eval_episodes=1, run_dir=run))
    call = caller("certify", monkeypatch, capsys)
    status, out, err = call(str(run), "--episodes", "32", "--search-steps", "2048", "--budget", "5")
    # An agent that has hardly learned says nothing about the environment.
    assert (status, err) == (0, "") and "environment: cannot tell" in out and "written:" in out
    data = json.loads((run / "certificate.json").read_text())
    assert data["references"]["env_id"] == "CartPole-POMDP-v0" and data["environment"]["table"]
    for arguments in ([str(tmp_path / "nowhere")], [], [str(run), "--budget", "-1"]):
        status, out, err = call(*arguments)
        assert (status, out) == (2, "") and err.startswith("error: ") and err.count("\n") == 1


# ---------------------------------------------------------------------- ten tasks

#: Environment id, memory, steps of training, whether it needs memory.
TASKS = [
    ("CartPole-POMDP-v0", "aaren", 60_000, True),
    ("RepeatFirstEasy-v0", "gru", 80_000, True),
    ("RepeatPreviousEasy-v0", "gru", 150_000, True),
    ("TMazePassive-10-v0", "gru", 80_000, True),
    ("PositionOnlyCartPoleEasy-v0", "gru", 100_000, True),
    ("CartPole-v1", "gru", 40_000, False),
    ("VelocityOnlyCartPoleEasy-v0", "gru", 40_000, False),
    ("HigherLowerEasy-v0", "gru", 40_000, False),
    ("Acrobot-v1", "gru", 60_000, False),
    ("Pendulum-v1", "gru", 60_000, False),
]


@pytest.mark.slow
@pytest.mark.parametrize(("env_id", "memory", "steps", "needs"), TASKS)
def test_ten_tasks_are_classified(env_id: str, memory: str, steps: int, needs: bool, tmp_path: Path) -> None:
    """About three minutes each on one core, training included."""
    run = tmp_path / "run"
    train(TrainConfig(env_id, memory, steps, run_dir=run, device="cpu", eval_episodes=10))
    began = time.perf_counter()
    loaded = load_run(run, "cpu")
    found = certify(loaded.model, loaded.make_environments, env_id=env_id)
    assert found.environment.verdict == ("needs memory" if needs else "does not need memory"), paragraph(found)
    assert found.memory.verdict == "yes" or not needs, paragraph(found)
    assert time.perf_counter() - began < 180


@pytest.mark.slow
def test_agents_with_and_without_memory_are_distinguished(tmp_path: Path) -> None:
    """Both trained alike on CartPole without velocities; about five minutes."""
    verdicts = {}
    for memory in ("gru", "none"):
        run = tmp_path / memory
        train(TrainConfig("CartPole-POMDP", memory, 60_000, run_dir=run, device="cpu", eval_episodes=10))
        loaded = load_run(run, "cpu")
        verdicts[memory] = certify(loaded.model, loaded.make_environments, budget_s=60).memory.verdict
    assert verdicts == {"gru": "yes", "none": "no"}

"""Training behaviours of several levels of skill."""

from __future__ import annotations

import itertools
import json
import pickle
import shutil
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.testing as npt
import pytest
from filelock import FileLock
from stable_baselines3.common.vec_env import DummyVecEnv

from rl_larnn.agents.behaviours import checkpoint, load_agent, read_behaviour, train_behaviour, training
from rl_larnn.agents.behaviours import folder as behaviour_folder
from rl_larnn.agents.behaviours.recipes import BEHAVIOUR_RECIPES, BehaviourRecipe
from rl_larnn.agents.reporting.reporter import SILENT
from rl_larnn.envs import make
from rl_larnn.envs.datasets import References, open_dataset
from rl_larnn.errors import UserError
from tests.behaviour_cases import CARTPOLE, PENDULUM
from tests.dataset_cases import assert_same_episodes, cartpole


def test_a_behaviour_folder_holds_all_levels(behaviour: Path) -> None:
    assert {path.name for path in behaviour.iterdir()} == {"behaviour.json", "expert.zip", "medium.zip", "replay"}
    assert [path.name for path in behaviour.parent.iterdir()] == [behaviour.name]
    trained = read_behaviour(behaviour)
    assert trained is not None
    low, high = trained.references
    record = trained.record
    assert (
        15 < low < 30 < high
        and record["algorithm"] == "ppo"
        and record["arguments"]["clip_range"] == "linear(0.2, 0.0)"
    )
    assert load_agent(behaviour / "medium.zip").record["steps"] == record["medium_steps"] <= record["expert_steps"]
    means = dict(map(tuple, record["trials"]))
    assert (
        means[record["expert_steps"]] == max(means.values()) and means[record["medium_steps"]] == record["medium_trial"]
    )


def test_the_replay_is_what_training_saw_up_to_medium(behaviour: Path) -> None:
    replay, trained = open_dataset(behaviour / "replay"), read_behaviour(behaviour)
    assert trained is not None
    steps, envs = trained.record["medium_steps"], trained.record["n_envs"]
    # Everything but the episodes under way at that moment, one for each environment.
    assert steps - 500 * envs < replay.steps <= steps and replay.steps > steps / 2
    base: Any = cartpole().unwrapped
    for episode in replay.episodes[:: max(len(replay.episodes) // 10, 1)]:
        base.reset()
        seen = [*episode.observations, episode.final_observation]
        for before, action, after in zip(seen[:-1], episode.actions, seen[1:], strict=True):
            base.state, base.steps_beyond_terminated = before.astype(np.float64), None
            npt.assert_allclose(base.step(int(action))[0], after, atol=1e-5)
    assert len({float(episode.observations[0, 0]) for episode in replay.episodes}) == len(replay.episodes)


def test_medium_is_nearest_to_a_third_when_training_first_gets_there() -> None:
    for means, chosen in (
        ([10, 20, 45, 90], 2),  # a third of the way from 10 to 100 is 40; the first that got there is nearest
        ([10, 35, 60, 41], 1),  # the one before is nearer than the one that got there, and the last is too late
        ([10, 12, 100], 1),
        ([10, 100, 40], 0),
        ([10, 20, 30], 2),  # none got there
    ):
        evaluations = [(100 * i, float(mean)) for i, mean in enumerate(means)]
        assert behaviour_folder.choose_medium(evaluations, 10.0, 100.0) == chosen, means


def test_evaluations_leave_training_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = BehaviourRecipe("ppo", 512, 2, {"n_steps": 64, "batch_size": 64, "n_epochs": 2})
    histories = []
    for number in (1, 4):
        monkeypatch.setattr(training, "EVALUATIONS", number)
        (folder := tmp_path / str(number)).mkdir()
        histories.append(training._train(CARTPOLE, recipe, folder, 0, "cpu", SILENT))
        assert len(histories[-1].evaluations) == number
    times = [[end for end, _ in history.episodes] for history in histories]
    assert times[0] == times[1] and len(times[0]) > 10
    assert_same_episodes(*([episode for _, episode in history.episodes] for history in histories))


def test_an_algorithm_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot train a behaviour with sac: .*Discrete"):
        training._train(CARTPOLE, BehaviourRecipe("sac", 420), tmp_path, 0, "cpu", SILENT)


@pytest.mark.parametrize("algorithm", ["ppo", "sac"])
def test_a_training_that_was_stopped_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, algorithm: str) -> None:
    monkeypatch.setattr(training, "EVALUATIONS", 5)
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(behaviour_folder, "REFERENCE_EPISODES", 3)
    tiny = {"policy_kwargs": {"net_arch": [8]}}
    rare = {"learning_starts": 100, "train_freq": 50, "gradient_steps": 1}
    more = rare if algorithm == "sac" else {"n_steps": 100, "batch_size": 100, "n_epochs": 1}
    recipe, folder = BehaviourRecipe(algorithm, 1000, 1, {**tiny, **more}), tmp_path / "new"
    monkeypatch.setattr(behaviour_folder, "_measure_references", lambda *_: References(-2000.0, 0.0))
    arguments = (PENDULUM, recipe, folder)
    original, calls = training.TrainingCallback._evaluate, itertools.count()

    def stopped(self: Any) -> None:
        if next(calls) == 3:
            raise KeyboardInterrupt
        original(self)

    monkeypatch.setattr(training.TrainingCallback, "_evaluate", stopped)
    with pytest.raises(KeyboardInterrupt):
        train_behaviour(*arguments)
    assert not folder.exists() and (tmp_path / ".new.part").exists()
    with pytest.raises(UserError, match="expected the device auto, cpu, cuda or cuda:<index>, got 'gpu'"):
        train_behaviour(*arguments, device="gpu")
    shutil.copy(tmp_path / ".new.part/600.zip", tmp_path / ".new.part/790.zip")  # tried, but not kept
    trained = train_behaviour(*arguments)
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
    assert {path.name for path in folder.iterdir()} == {"behaviour.json", "expert.zip", "medium.zip", "replay"}
    assert trained.record["resumed_at"] == [600]
    assert [steps for steps, _ in trained.record["trials"]] == [200, 400, 600, 800, 1000]
    record = load_agent(folder / "expert.zip").record
    assert (record["algorithm_name"], record["steps"]) == (algorithm.upper(), trained.record["expert_steps"])
    assert open_dataset(folder / "replay").steps == trained.record["medium_steps"]  # episodes of 200 steps


def test_a_history_of_an_earlier_revision_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, behaviour: Path
) -> None:
    """As it was pickled there: another class in another module, with other attributes."""
    module = "rl_larnn.agents.collecting.watching"
    episodes = open_dataset(behaviour / "replay").episodes[:2]
    earlier = type("Training", (), {"__module__": module})
    instance = earlier()
    instance.__dict__ = {
        "trials": [(20, 3.5)],
        "tape": [(9, episodes[0]), (20, episodes[1])],
        "untimed": [],
        "resumed_at": [10],
    }
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, module, SimpleNamespace(Training=earlier))  # type: ignore[arg-type]
        (tmp_path / "training.pkl").write_bytes(pickle.dumps(instance))
    history = checkpoint.read_history(tmp_path / "training.pkl")
    assert set(vars(history)) == {"evaluations", "episodes", "resumed_at"}
    assert (history.evaluations, history.resumed_at) == ([(20, 3.5)], [10])
    assert [end for end, _ in history.episodes] == [9, 20]
    assert_same_episodes([episode for _, episode in history.episodes], list(episodes))


def test_a_stop_while_a_behaviour_is_written_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "EVALUATIONS", 2)
    monkeypatch.setattr(behaviour_folder, "REFERENCE_EPISODES", 3)
    monkeypatch.setattr(behaviour_folder, "_measure_references", lambda *_: References(0.0, 1000.0))
    recipe = BehaviourRecipe("ppo", 512, 2, {"n_steps": 64, "batch_size": 64, "n_epochs": 1})
    arguments = (CARTPOLE, recipe, tmp_path / "new")

    def stopped(*_: Any) -> None:
        raise KeyboardInterrupt

    for name in ("_measure_references", "_save_replay", "write_json"):
        with monkeypatch.context() as patch:
            patch.setattr(behaviour_folder, name, stopped)
            with pytest.raises(KeyboardInterrupt):
                train_behaviour(*arguments)
        assert [path.name for path in tmp_path.iterdir()] == [".new.part"]
    monkeypatch.setattr(training, "_build", stopped)  # nothing is trained anew
    trained = train_behaviour(*arguments)
    assert [path.name for path in tmp_path.iterdir()] == ["new"] and trained.record["resumed_at"] == []
    with pytest.raises(UserError, match="exists already: pass it with --agent"):
        train_behaviour(*arguments)


def test_a_behaviour_that_learned_nothing_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "EVALUATIONS", 1)
    monkeypatch.setattr(behaviour_folder, "REFERENCE_EPISODES", 1)
    for module in (training, behaviour_folder):
        monkeypatch.setattr(module, "agent_return", lambda *_, **__: 0.0)
    recipe = BehaviourRecipe("ppo", 128, 2, {"n_steps": 64, "batch_size": 64, "n_epochs": 1})
    with pytest.raises(UserError, match="the behaviour learned nothing: it returns 0"):
        train_behaviour(CARTPOLE, recipe, tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_two_processes_do_not_train_one_behaviour(tmp_path: Path) -> None:
    (tmp_path / ".new.part").mkdir()
    with FileLock(tmp_path / ".new.part/.lock"), pytest.raises(UserError, match="another process is training"):
        train_behaviour(CARTPOLE, BEHAVIOUR_RECIPES["CartPole-v1"], tmp_path / "new")


def test_every_recipe_builds() -> None:
    for env_id, recipe in BEHAVIOUR_RECIPES.items():
        if env_id.startswith("LunarLander"):
            pytest.importorskip("Box2D")
        if env_id.endswith("-v5"):
            pytest.importorskip("mujoco")
        env = DummyVecEnv([partial(make, env_id) for _ in range(recipe.n_envs)])
        described = json.dumps(training._describe(recipe))
        model = training._build(recipe, env, 0, "cpu")
        assert json.dumps(training._describe(recipe)) == described
        assert (model.action_space, model.n_envs) == (env.action_space, recipe.n_envs)
        env.close()

"""Training behaviours of several levels of skill."""

from __future__ import annotations

import itertools
import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.testing as npt
import pytest
from filelock import FileLock
from stable_baselines3 import SAC
from stable_baselines3.common.vec_env import DummyVecEnv

from rl_larnn.agents.behaviours import callbacks as watching
from rl_larnn.agents.behaviours import load_agent, read_behaviour, train_behaviour
from rl_larnn.agents.behaviours import training as learning
from rl_larnn.agents.behaviours.recipes import BEHAVIOUR_RECIPES, BehaviourRecipe
from rl_larnn.envs import make
from rl_larnn.envs.datasets import References, open_dataset
from rl_larnn.errors import UserError
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


@pytest.mark.parametrize(
    ("means", "chosen"),
    [
        ([10, 20, 45, 90], 2),  # a third of the way from 10 to 100 is 40; the first that got there is nearest
        ([10, 35, 60, 41], 1),  # the one before is nearer than the one that got there, and the last is too late
        ([10, 12, 100], 1),
        ([10, 100, 40], 0),
        ([10, 20, 30], 2),  # nobody got there
    ],
)
def test_medium_is_nearest_to_a_third_when_training_first_gets_there(means: list[float], chosen: int) -> None:
    trials = [(100 * i, mean) for i, mean in enumerate(means)]
    assert watching.choose_medium(trials, 10.0, 100.0) == chosen


def test_trials_leave_training_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = BehaviourRecipe("ppo", 512, 2, {"n_steps": 64, "batch_size": 64, "n_epochs": 2})
    trainings = []
    for trials in (1, 4):
        monkeypatch.setattr(watching, "TRIALS", trials)
        (folder := tmp_path / str(trials)).mkdir()
        trainings.append(learning._train(cartpole, recipe, folder, 0, "cpu", False))
        assert len(trainings[-1].trials) == trials
    times = [[end for end, _ in training.tape] for training in trainings]
    assert times[0] == times[1] and len(times[0]) > 10
    assert_same_episodes(*([episode for _, episode in training.tape] for training in trainings))


@pytest.mark.slow
def test_off_policy_training_is_watched_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "TRIALS", 2)
    recipe = BehaviourRecipe("sac", 420, 1, {"learning_starts": 100, "policy_kwargs": {"net_arch": [8]}})
    training = learning._train(lambda: make("Pendulum-v1"), recipe, tmp_path, 0, "cpu", False)
    assert [end for end, _ in training.tape] == [200, 400] and [steps for steps, _ in training.trials] == [210, 420]
    assert all(episode.truncated and len(episode) == 200 for _, episode in training.tape)
    assert type(load_agent(tmp_path / "420.zip").model) is SAC
    with pytest.raises(UserError, match=r"cannot train a behaviour with sac: .*Discrete"):
        learning._train(cartpole, recipe, tmp_path, 0, "cpu", False)


def test_a_behaviour_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, behaviour: Path) -> None:
    def interrupted(*arguments: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(learning, "random_behaviour", interrupted)
    monkeypatch.setattr(watching, "TRIALS", 2)
    recipe = replace(BEHAVIOUR_RECIPES["CartPole-v1"], n_timesteps=600)
    with pytest.raises(KeyboardInterrupt):
        train_behaviour(cartpole, "CartPole-v1", {}, recipe, tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == [".new.part"]
    with pytest.raises(UserError, match="exists already: pass it with --agent"):
        train_behaviour(cartpole, "CartPole-v1", {}, recipe, behaviour)


@pytest.mark.parametrize("algorithm", ["ppo", "sac"])
def test_a_training_that_was_stopped_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, algorithm: str) -> None:
    monkeypatch.setattr(watching, "TRIALS", 5)
    monkeypatch.setattr(watching, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(learning, "REFERENCE_EPISODES", 3)
    tiny = {"policy_kwargs": {"net_arch": [8]}}
    rare = {"learning_starts": 100, "train_freq": 50, "gradient_steps": 1}
    more = rare if algorithm == "sac" else {"n_steps": 100, "batch_size": 100, "n_epochs": 1}
    recipe, folder = BehaviourRecipe(algorithm, 1000, 1, {**tiny, **more}), tmp_path / "new"
    monkeypatch.setattr(learning, "_references", lambda *_: References(-2000.0, 0.0))
    arguments = (lambda: make("Pendulum-v1"), "Pendulum-v1", {}, recipe, folder)
    original, calls = watching.Watch._try, itertools.count()

    def stopped(self: Any) -> None:
        if next(calls) == 3:
            raise KeyboardInterrupt
        original(self)

    monkeypatch.setattr(watching.Watch, "_try", stopped)
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
    assert load_agent(folder / "expert.zip").record["steps"] == trained.record["expert_steps"]
    assert open_dataset(folder / "replay").steps == trained.record["medium_steps"]  # episodes of 200 steps


def test_a_stop_while_a_behaviour_is_written_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "TRIALS", 2)
    monkeypatch.setattr(learning, "REFERENCE_EPISODES", 3)
    monkeypatch.setattr(learning, "_references", lambda *_: References(0.0, 1000.0))
    recipe = BehaviourRecipe("ppo", 512, 2, {"n_steps": 64, "batch_size": 64, "n_epochs": 1})
    arguments = (cartpole, "CartPole-v1", {}, recipe, tmp_path / "new")

    def stopped(*_: Any) -> None:
        raise KeyboardInterrupt

    for name in ("_save_replay", "write_json"):
        with monkeypatch.context() as patch:
            patch.setattr(learning, name, stopped)
            with pytest.raises(KeyboardInterrupt):
                train_behaviour(*arguments)
        assert [path.name for path in tmp_path.iterdir()] == [".new.part"]
    monkeypatch.setattr(learning, "_build", stopped)  # nothing is trained anew
    trained = train_behaviour(*arguments)
    assert [path.name for path in tmp_path.iterdir()] == ["new"] and trained.record["resumed_at"] == []


def test_a_behaviour_that_learned_nothing_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "TRIALS", 1)
    monkeypatch.setattr(learning, "REFERENCE_EPISODES", 1)
    monkeypatch.setattr(learning, "_returns", lambda *_: [0.0])
    recipe = BehaviourRecipe("ppo", 128, 2, {"n_steps": 64, "batch_size": 64, "n_epochs": 1})
    with pytest.raises(UserError, match="the behaviour learned nothing: it returns 0"):
        train_behaviour(cartpole, "CartPole-v1", {}, recipe, tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_two_processes_do_not_train_one_behaviour(tmp_path: Path) -> None:
    (tmp_path / ".new.part").mkdir()
    with FileLock(tmp_path / ".new.part/.lock"), pytest.raises(UserError, match="another process is training"):
        train_behaviour(cartpole, "CartPole-v1", {}, BEHAVIOUR_RECIPES["CartPole-v1"], tmp_path / "new")


def test_every_recipe_builds() -> None:
    for env_id, recipe in BEHAVIOUR_RECIPES.items():
        if env_id.startswith("LunarLander"):
            pytest.importorskip("Box2D")
        if env_id.endswith("-v5"):
            pytest.importorskip("mujoco")
        env = DummyVecEnv([partial(make, env_id) for _ in range(recipe.n_envs)])
        described = json.dumps(learning._describe(recipe))
        model = learning._build(recipe, env, 0, "cpu")
        assert json.dumps(learning._describe(recipe)) == described
        assert (model.action_space, model.n_envs) == (env.action_space, recipe.n_envs)
        env.close()

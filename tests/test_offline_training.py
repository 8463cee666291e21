"""Offline runs as their users meet them: folders, and what agents are told."""

from __future__ import annotations

import csv
import json
from inspect import signature
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3.common.vec_env import VecNormalize

from rl_larnn.agents.evaluation import video
from rl_larnn.agents.evaluation.evaluate import evaluate
from rl_larnn.agents.evaluation.load import load_run
from rl_larnn.agents.offline.config import load_data, load_offline_settings, resolve_offline
from rl_larnn.agents.offline.recipes import offline_recipe
from rl_larnn.agents.runs.folder import RESULT
from rl_larnn.agents.runs.logs import CURVE
from rl_larnn.agents.settings.environments import make_env
from rl_larnn.agents.settings.overrides import apply_settings
from rl_larnn.agents.settings.recipes import RECIPES
from rl_larnn.agents.training import offline, resume, resume_offline, train_offline
from rl_larnn.agents.training.offline import DataLearner
from rl_larnn.envs import make
from rl_larnn.envs.datasets import Dataset, References, load_dataset, store_minari
from rl_larnn.errors import UserError
from rl_larnn.memories import MEMORIES
from tests.dataset_cases import random_episode, write_d4rl
from tests.offline_cases import RANDOM, RECALL, TINY, config
from tests.script_cases import caller
from tests.training_cases import Told


def test_a_run_leaves_all_that_runs_leave(inside: Path) -> None:
    told = Told()
    run = train_offline(config(), told)
    assert run.folder == Path("runs/TMazePassive-10-corridor-5-mixed50-v0/gru-s0")
    names = {path.name for path in run.folder.iterdir() if "tfevents" not in path.name}
    assert names == {"config.json", "progress.csv", "checkpoint", "model.zip", "vecnormalize.pkl", "result.json"}
    assert len(told.messages) == 1 and str(run.folder) in told.messages[0] and not told.warnings
    result = json.loads((run.folder / RESULT).read_text())
    assert (result["updates"], result["target_return"], result["memory"]) == (12, 1.0, "gru")
    assert [steps for steps, _ in result["evaluations"]] == [6, 12]
    score = 100 * (result["mean_return"] - load_dataset(RECALL).references.minimum)  # type: ignore[union-attr]
    assert result["normalized_score"] == pytest.approx(score / (1 - load_dataset(RECALL).references.minimum))  # type: ignore[union-attr]
    assert load_offline_settings(run.folder) == run.settings
    rows = (run.folder / CURVE).read_text().splitlines()
    assert len(rows) == 13 and {"train/loss", "train/imitation_loss", "eval/normalized_score", "time/updates"} <= set(
        rows[0].split(",")
    )


def test_a_trial_stands_on_the_line_of_its_update(inside: Path) -> None:
    """Every second update has a line, and every third an evaluation."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(offline, "_LINES", 5)
        run = train_offline(config(updates=10, eval_freq=3))
    with (run.folder / CURVE).open() as file:
        lines = {int(row["time/updates"]): row["eval/mean_reward"] for row in csv.DictReader(file)}
    tried = dict(map(tuple, run.result.evaluations))
    assert list(lines) == [2, 3, 4, 6, 8, 9, 10] and list(tried) == [3, 6, 9, 10]
    assert {updates: float(mean) for updates, mean in lines.items() if mean} == pytest.approx(tried)


def test_the_agent_of_a_run_is_loaded_and_evaluated_like_any_other(inside: Path) -> None:
    run = train_offline(config())
    loaded = load_run(run.folder, "cpu")
    assert evaluate(loaded.model, loaded.make_environments, 4).returns == run.evaluation.returns
    assert loaded.model.observation_space.shape == (2 + 4 + 1 + 1,)
    with pytest.raises(UserError, match=r"was trained offline: continue it with train_offline\.py --resume"):
        resume(run.folder)
    # A return that is asked for later.
    env = loaded.make_environments(n_envs=1, target_return=-3.0)
    assert isinstance(env, VecNormalize)
    env.reset()
    assert env.get_original_obs()[0, 6] == -3.0


def test_what_agents_are_told(inside: Path) -> None:
    seen = {name: train_offline(config(memory=name, updates=1)).settings.run.recipe for name in ("gru", "none")}
    assert (seen["gru"].previous_action, seen["none"].previous_action) == (True, False)
    assert all((recipe.target_return, recipe.step_number) == (1.0, 6) for recipe in seen.values())
    cloned = train_offline(config(clone=True, updates=1))
    assert (cloned.settings.run.recipe.target_return, cloned.settings.run.recipe.step_number) == (None, None)
    assert cloned.folder.name == "gru-clone-s0" and cloned.result.target_return is None
    other = train_offline(config(settings={**TINY, "first_step_flag": True}, target_return=0.0, updates=1))
    recipe = other.settings.run.recipe
    assert (recipe.target_return, recipe.step_number, recipe.first_step_flag) == (0.0, 6, True)
    assert other.folder.name == "gru-s0-2"


def test_what_agents_see_is_scaled_also_where_it_is_not_online() -> None:
    apart = {(name, memory) for name, recipe in RECIPES.items() for memory in recipe.for_memory if memory in MEMORIES}
    for name, memory in apart:
        settings, _ = offline_recipe(name, memory, 200)
        assert apply_settings(RECIPES[name], memory, settings).normalize_observations, (name, memory)
    assert ("Pendulum-POMDP-v0", "aaren") in apart


@pytest.mark.parametrize("expert, target", [(0.5, 0.5), (3.0, 1.0), (None, 1.0)])
def test_what_is_asked_for_unless_one_says(inside: Path, expert: float | None, target: float) -> None:
    dataset = load_dataset(RECALL)
    references = None if expert is None else References(-1.0, expert)
    name = f"other/{expert}-v0".replace(".", "-")
    store_minari(dataset.with_episodes(dataset.episodes, references=references), name)
    assert resolve_offline(config(dataset=name))[0].run.recipe.target_return == target


@pytest.mark.parametrize("env_id", ["Pendulum-v1", "Pendulum-POMDP-v0", "LunarLanderContinuous-POMDP-v0"])
def test_where_actions_change_little_nobody_sees_the_last_one(env_id: str) -> None:
    found = {memory: offline_recipe(env_id, memory, 200)[0] for memory in ("aaren", "none", "transformer")}
    assert [found[memory].get("previous_action") for memory in found] == [False, False, False]
    assert "previous_action" not in offline_recipe("Hopper-P-v0", "transformer", 200)[0]


def test_where_recall_counts_gates_begin_slow(inside: Path) -> None:
    def options(memory: str, dataset: str) -> Any:
        return resolve_offline(config(memory=memory, dataset=dataset))[0].run.recipe.for_memory[memory]

    horizons = {name: options(name, RECALL).get("horizon") for name in ("gru", "larnn", "none", "transformer")}
    assert horizons == {"gru": 6, "larnn": 6, "none": None, "transformer": None}
    assert options("gru", RANDOM).get("horizon") is None
    asked = {**TINY, "horizon": 4}
    assert resolve_offline(config(settings=asked))[0].run.recipe.for_memory["gru"]["horizon"] == 4


@pytest.mark.parametrize("memory", ["aaren", "none", "transformer"])
def test_heads_that_recall_do_not_saturate(memory: str) -> None:
    found = {env_id: offline_recipe(env_id, memory, 90)[0] for env_id in ("TMazePassive-50-v0", "LunarLander-POMDP-v0")}
    assert [settings.get("activation_fn") for settings in found.values()] == ["relu", None]


def test_aaren_is_as_deep_as_the_transformer_where_it_has_to_tell_speeds() -> None:
    depth = signature(MEMORIES["transformer"]).parameters["layers"].default
    found = {
        env_id: offline_recipe(env_id, "aaren", 90)[0].get("layers") for env_id in ("Hopper-P-v0", "TMazePassive-50-v0")
    }
    assert found == {"Hopper-P-v0": depth, "TMazePassive-50-v0": None}
    assert "layers" not in offline_recipe("Hopper-P-v0", "gru", 90)[0]


def test_larnn_is_bounded_where_cells_could_add_up() -> None:
    found = {
        env_id: offline_recipe(env_id, "larnn", 90)[0].get("bounded")
        for env_id in ("Hopper-P-v0", "TMazePassive-50-v0")
    }
    assert found == {"Hopper-P-v0": True, "TMazePassive-50-v0": None}


def test_the_transformer_reads_as_published(inside: Path) -> None:
    settings = {"hidden_size": 8, "batch_size": 4, "seq_len": 3}
    run = train_offline(config(memory="transformer", settings=settings, updates=2))
    memory = run.settings.run.recipe.for_memory["transformer"]
    assert (run.settings.plan.batches, memory["context"], memory["tokens"]) == ("windows", 3, [2, 4, 2])
    cloned = train_offline(config(memory="transformer", settings=settings, updates=1, clone=True))
    assert cloned.settings.run.recipe.for_memory["transformer"]["tokens"] == [2, 4]
    for changes, tokens in (
        ({"previous_action": False}, [2, 2]),
        ({"step_number": None}, [2, 4, 1]),
        ({"first_step_flag": True}, [2, 5, 2]),
        ({"first_step_flag": True, "previous_action": False}, [2, 1, 2]),
    ):
        other = train_offline(config(memory="transformer", settings={**settings, **changes}, updates=1))
        assert other.settings.run.recipe.for_memory["transformer"]["tokens"] == tokens
    merged = train_offline(config(memory="transformer", settings={**settings, "tokens": None}, updates=1))
    assert merged.settings.run.recipe.for_memory["transformer"]["tokens"] is None


def test_only_the_best_episodes(inside: Path) -> None:
    """Of T-Maze's episodes, the best quarter all end at the goal; cloned, they are asked for nothing."""
    seen: list[Dataset] = []
    with pytest.MonkeyPatch.context() as patch:
        learn = DataLearner.learn

        def watch(learner: DataLearner, loop: Any) -> None:
            seen.append(learner.learner.dataset)
            learn(learner, loop)

        patch.setattr(DataLearner, "learn", watch)
        train_offline(config(clone=True, best=0.25, updates=1))
    assert (seen[0].returns == 1).all() and seen[0].steps <= 0.25 * load_dataset(RECALL).steps


def test_a_file_of_d4rl(inside: Path) -> None:
    generator = np.random.default_rng(0)
    space = make("MountainCarContinuous-v0").observation_space
    torque = gym.spaces.Box(-1.0, 1.0, (1,), np.float32)
    episodes = [random_episode(9, generator, space, torque, terminated=False) for _ in range(4)]
    path = write_d4rl(inside / "car-medium-v2.hdf5", episodes)
    with pytest.raises(UserError, match="doesn't say where it was collected: name the environment"):
        train_offline(config(dataset=path))
    run = train_offline(
        config(dataset=path, env="MountainCarContinuous-v0", settings={"hidden_size": 8, "batch_size": 2})
    )
    assert run.folder.parent.name == "car-medium-v2" and run.result.normalized_score is None
    assert load_offline_settings(run.folder).dataset == str(path)


def test_bounds_of_a_file_are_those_of_the_environment(inside: Path) -> None:
    """Pendulum's torques go to 2; in these data none is above 1, from which a reader can only guess."""
    env = make("Pendulum-v1")
    generator = np.random.default_rng(0)
    episodes = [random_episode(9, generator, env.observation_space, env.action_space) for _ in range(4)]
    write_d4rl(inside / "mine.hdf5", episodes, timeouts=None)
    run = train_offline(config(dataset="mine.hdf5", env="Pendulum-v1", env_kwargs={"g": 5.0}, updates=2))
    assert run.settings.run.env_kwargs == {"g": 5.0} and run.settings.facts.returns.highest < 10
    assert resume_offline(run.folder, updates=3).result.updates == 3


def test_arguments_of_the_environment_are_laid_over_those_of_the_data(inside: Path) -> None:
    settings, *_ = resolve_offline(config())
    assert settings.run.env_kwargs == {"corridor": 5}
    settings, *_ = resolve_offline(config(env_kwargs={"shortest": 3, "corridor": 4}))
    assert settings.run.env_kwargs == {"corridor": 4, "shortest": 3}


def test_episodes_of_a_file_are_cut_at_the_limit_of_the_environment_that_is_made(inside: Path) -> None:
    env = make("CartPole-v1")
    episode = random_episode(60, np.random.default_rng(0), env.observation_space, env.action_space)
    path = write_d4rl(inside / "mine.hdf5", [episode], timeouts=None, terminals=np.zeros(60))
    for limit, lengths in ((20, [20] * 3), (60, [60])):
        asked = config(dataset=path, env="CartPole-v1", env_kwargs={"max_episode_steps": limit})
        settings, *_ = resolve_offline(asked)
        assert load_data(settings).columns.lengths.tolist() == lengths
        assert settings.run.recipe.step_number == lengths[0]


def test_evaluation_knows_the_data(
    inside: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = train_offline(config())
    evaluate_it = caller("evaluate_agent", monkeypatch, capsys)
    status, out, err = evaluate_it(str(run.folder), "--episodes", "4")
    assert (status, err) == (0, "") and f"{run.result.normalized_score:.1f}" in out and "normalised score" in out
    status, out, err = evaluate_it(str(run.folder), "--episodes", "1", "--target-return", "50")
    assert status == 0 and err.startswith("warning: the target return 50 is far outside of the data, whose episodes")


def test_a_video_asks_for_the_same_return(inside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load_run(train_offline(config(target_return=1.0)).folder)
    asked: list[float | None] = []

    def recorded(run: Any, folder: Path, target_return: float | None) -> gym.Env:
        asked.append(target_return)
        folder.mkdir()
        (folder / "x.mp4").touch()
        return make_env(run.settings.env, run.settings.env_kwargs, run.recipe(target_return))

    monkeypatch.setattr(video, "_recorded", recorded)
    monkeypatch.setattr(video.importlib.util, "find_spec", lambda name: True)
    video.record_video(loaded, target_return=0.5)
    assert asked == [0.5] and loaded.recipe(0.5).target_return == 0.5 and loaded.recipe().target_return == 1.0

"""Offline runs as their users meet them: folders, resuming, going on online, the command line, and mistakes."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3.common.vec_env import VecNormalize

from rl_larnn.agents import RecurrentPPO
from rl_larnn.agents.collecting import CollectConfig, collect_datasets
from rl_larnn.agents.config import load_settings as load_run_settings
from rl_larnn.agents.environments import make_environments
from rl_larnn.agents.errors import Interrupted, UserError
from rl_larnn.agents.evaluation import video
from rl_larnn.agents.evaluation.evaluate import evaluate
from rl_larnn.agents.evaluation.load import load_run
from rl_larnn.agents.initial import as_in_run, take_over
from rl_larnn.agents.logs import CURVE
from rl_larnn.agents.models import build_model
from rl_larnn.agents.offline import OfflineConfig, learning, resume_offline, train_offline
from rl_larnn.agents.offline.config import resolve_offline
from rl_larnn.agents.offline.snapshots import load_settings
from rl_larnn.agents.runs import RESULT
from rl_larnn.agents.training import TrainConfig, resume, train
from rl_larnn.envs import make
from rl_larnn.envs.datasets import (
    Amount,
    Columns,
    Dataset,
    collect,
    load_dataset,
    local_ids,
    random_behaviour,
    store_minari,
)
from tests.dataset_cases import TORQUES, VECTOR, random_dataset, random_episode, store_in, write_d4rl
from tests.script_cases import SCRIPTS, Call, caller

RECALL, RANDOM = "TMazePassive-10-corridor-5/mixed50-v0", "CartPole-POMDP/random-v0"
TINY: dict[str, Any] = {"hidden_size": 8, "batch_size": 4}
PENDULUM = gym.spaces.Box(-2.0, 2.0, (1,), np.float32)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """T-Maze of mixed quality and masked CartPole at random, collected once."""
    with store_in(tmp_path_factory.mktemp("store")) as folder:
        collect_datasets(CollectConfig("TMazePassive-10", "mixed", episodes=60, env_kwargs={"corridor": 5}))
        env = make("CartPole-POMDP")
        episodes = collect(lambda: make("CartPole-POMDP"), random_behaviour(env.action_space), Amount(episodes=20))
        spaces = (env.observation_space, env.action_space)
        store_minari(Dataset(RANDOM, Columns.of(episodes), *spaces, env_id="CartPole-POMDP-v0"), RANDOM)
        yield folder


@pytest.fixture
def inside(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, with the store at hand."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def config(**changes: Any) -> OfflineConfig:
    given = {"memory": "gru", "updates": 12, "eval_episodes": 4, "eval_freq": 6, "device": "cpu", "settings": TINY}
    return OfflineConfig(**{"dataset": RECALL, **given, **changes})


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return RecurrentPPO.load(folder / "model.zip", device="cpu").policy.state_dict()


# ---- a run


def test_a_run_leaves_all_that_runs_leave(inside: Path) -> None:
    told: list[Any] = []
    run = train_offline(config(), lambda *what: told.append(what))
    assert run.folder == Path("runs/TMazePassive-10-corridor-5-mixed50-v0/gru-s0")
    names = {path.name for path in run.folder.iterdir() if "tfevents" not in path.name}
    assert names == {"config.json", "progress.csv", "checkpoint", "model.zip", "vecnormalize.pkl", "result.json"}
    assert told == [(run.settings, run.folder, [])]
    result = json.loads((run.folder / RESULT).read_text())
    assert (result["updates"], result["target_return"], result["memory"]) == (12, 1.0, "gru")
    assert [steps for steps, _ in result["trials"]] == [6, 12]
    score = 100 * (result["mean_return"] - load_dataset(RECALL).references.minimum)  # type: ignore[union-attr]
    assert result["normalized_score"] == pytest.approx(score / (1 - load_dataset(RECALL).references.minimum))  # type: ignore[union-attr]
    assert load_settings(run.folder) == run.settings
    rows = (run.folder / CURVE).read_text().splitlines()
    assert len(rows) == 13 and {"train/loss", "train/imitation_loss", "eval/normalized_score", "time/updates"} <= set(
        rows[0].split(",")
    )


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


def test_the_transformer_reads_as_published(inside: Path) -> None:
    settings = {"hidden_size": 8, "batch_size": 4, "seq_len": 3}
    run = train_offline(config(memory="transformer", settings=settings, updates=2))
    memory = run.settings.run.recipe.for_memory["transformer"]
    assert (run.settings.plan.batches, memory["context"], memory["tokens"]) == ("windows", 3, [2, 4, 2])
    cloned = train_offline(config(memory="transformer", settings=settings, updates=1, clone=True))
    assert cloned.settings.run.recipe.for_memory["transformer"]["tokens"] == [2, 4]
    merged = train_offline(config(memory="transformer", settings={**settings, "tokens": None}, updates=1))
    assert merged.settings.run.recipe.for_memory["transformer"]["tokens"] is None


def test_only_the_best_episodes(inside: Path) -> None:
    """Of T-Maze's episodes, the best quarter all end at the goal; cloned, they are asked for nothing."""
    seen: list[Dataset] = []
    with pytest.MonkeyPatch.context() as patch:
        original = learning.learn

        def watch(session: Any, *rest: Any) -> None:
            seen.append(session.learner.dataset)
            original(session, *rest)

        patch.setattr("rl_larnn.agents.offline.training.learn", watch)
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
    assert load_settings(run.folder).dataset == str(path)


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
    settings, _ = resolve_offline(config())
    assert settings.run.env_kwargs == {"corridor": 5}
    settings, _ = resolve_offline(config(env_kwargs={"shortest": 3, "corridor": 4}))
    assert settings.run.env_kwargs == {"corridor": 4, "shortest": 3}


# ---- cut off and continued


def test_a_run_whose_data_are_gone_or_others_says_so(inside: Path) -> None:
    episodes = [random_episode(9, np.random.default_rng(seed), VECTOR, TORQUES) for seed in range(4)]
    about = {"env": "Pendulum-v1", "dataset": inside / "mine.hdf5", "updates": 2}
    path = write_d4rl(inside / "mine.hdf5", episodes, actions=np.zeros((36, 1), np.float32))
    folder = train_offline(config(**about)).folder
    write_d4rl(path, episodes, actions=np.ones((36, 1), np.float32))
    with pytest.raises(UserError, match=r"the dataset .*mine\.hdf5 has changed since the run began: begin a new one"):
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
        update = learning._Lines.add

        def add(lines: Any, record: Any) -> None:
            update(lines, record)
            if lines.session.learner.updates == 7:
                signal.raise_signal(number)

        patch.setattr(learning._Lines, "add", add)
        with pytest.raises(Interrupted) as stop:
            train_offline(config(settings=settings, run_dir="cut"))
    assert (stop.value.steps, stop.value.number) == (7, number)
    run = resume_offline("cut")
    for key, value in weights(whole.folder).items():
        assert torch.equal(weights(run.folder)[key], value), key
    assert run.result.trials == whole.result.trials
    lines = [(folder / CURVE).read_text().splitlines() for folder in (whole.folder, run.folder)]
    column = lines[0][0].split(",").index("train/loss")
    assert [line.split(",")[column] for line in lines[0]] == [line.split(",")[column] for line in lines[1]]


def test_a_finished_run_can_be_trained_longer(inside: Path) -> None:
    run = train_offline(config())
    with pytest.raises(UserError, match=r"is finished: 12 updates of 12; .* such as -n 24"):
        resume_offline(run.folder)
    longer = resume_offline(run.folder, updates=15)
    assert longer.result.updates == 15 and load_settings(run.folder).plan.updates == 15


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


# ---- from offline to online

ONLINE: dict[str, Any] = {"n_timesteps": 512, "n_envs": 2, "eval_episodes": 2, "device": "cpu"}


def test_an_online_run_begins_where_the_offline_run_ended(inside: Path) -> None:
    offline = train_offline(config(dataset=RANDOM, settings={**TINY, "value_coef": 0.5}))
    run = train(TrainConfig("CartPole-POMDP", **ONLINE, init=offline.folder, settings={"learning_rate": 1e-12}))
    found, expected = weights(run.folder), weights(offline.folder)
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=0, atol=1e-6)
    settings = load_run_settings(run.folder)
    assert (settings.memory, settings.init) == ("gru", str(offline.folder))
    assert settings.recipe.target_return == offline.settings.run.recipe.target_return
    # Tried before the first step, as it may never be better again.
    assert json.loads((run.folder / RESULT).read_text())["trials"][0][0] == 0


def test_taking_over_weights_leaves_the_random_numbers_alone(inside: Path) -> None:
    """Else every seed would act as the run did that the weights are of."""
    offline = train_offline(config(dataset=RANDOM))
    recipe = load_run_settings(offline.folder).recipe
    env = as_in_run(offline.folder, make_environments("CartPole-POMDP-v0", {}, recipe, 1, 0), recipe)
    drawn = []
    for take in (False, True):
        model = build_model(recipe, env, 7, "cpu")
        if take:
            take_over(offline.folder, model)
        drawn.append((torch.rand(3), torch.as_tensor(np.random.random(3))))
    torch.testing.assert_close(*drawn, rtol=0, atol=0)


def test_the_scale_of_observations_is_kept(inside: Path) -> None:
    offline = train_offline(config(dataset=RANDOM))
    with pytest.raises(UserError, match="has its own scale of observations: leave normalize_observations out"):
        train(TrainConfig("CartPole-POMDP", **ONLINE, init=offline.folder, settings={"normalize_observations": False}))


def test_statistics_go_on_from_those_of_the_data(inside: Path) -> None:
    offline = train_offline(config(dataset=RANDOM))
    recipe = load_run_settings(offline.folder).recipe
    env = make_environments("CartPole-POMDP-v0", {}, recipe, 1, 0)
    loaded = as_in_run(offline.folder, env, recipe)
    assert isinstance(loaded, VecNormalize) and loaded.training and loaded.norm_reward
    before = loaded.obs_rms.count  # type: ignore[union-attr]
    assert before == load_dataset(RANDOM).steps
    loaded.reset()
    assert loaded.obs_rms.count == before + 1  # type: ignore[union-attr]


def test_agents_of_another_shape_are_refused(inside: Path) -> None:
    offline = train_offline(config(dataset=RANDOM))
    with pytest.raises(UserError, match=r"has the memory gru, got lstm: leave --memory out"):
        train(TrainConfig("CartPole-POMDP", "lstm", **ONLINE, init=offline.folder))
    with pytest.raises(UserError, match=r"don't fit this agent: expected \(9,.*\) for actor_memory\S+, got \(8,"):
        train(TrainConfig("CartPole-POMDP", **ONLINE, init=offline.folder, settings={"hidden_size": 9}))
    with pytest.raises(UserError, match="expected a run folder, got nowhere, which does not exist"):
        train(TrainConfig("CartPole-POMDP", **ONLINE, init="nowhere"))
    fits = r"doesn't fit Pendulum-POMDP-v0: it learned CartPole-POMDP-v0 with actions Discrete\(2\), got Box\(-2, 2, "
    with pytest.raises(UserError, match=fits):
        train(TrainConfig("Pendulum-POMDP", **ONLINE, init=offline.folder))
    with pytest.raises(UserError, match=r"with observations Box\(.*\(2,\), float32\), got Box\(.*\(4,\), float32\)"):
        train(TrainConfig("CartPole-MDP", **ONLINE, init=offline.folder))


def test_weights_are_taken_over_by_a_model_of_ones_own(inside: Path) -> None:
    offline = train_offline(config(dataset=RANDOM))
    recipe = load_run_settings(offline.folder).recipe
    env = as_in_run(offline.folder, make_environments("CartPole-POMDP-v0", {}, recipe, 1, 0), recipe)
    loaded = RecurrentPPO.load(offline.folder / "model.zip", env=env, device="cpu")
    loaded.learn(256)
    fresh = RecurrentPPO("MlpGruPolicy", env, policy_kwargs=loaded.policy_kwargs, device="cpu")
    take_over(offline.folder, fresh)
    assert torch.equal(fresh.policy.action_net.weight, weights(offline.folder)["action_net.weight"])


# ---- mistakes


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"dataset": "CartPole-POMDP/randon"}, r"unknown dataset .*randon'; the nearest names .*random-v0"),
        ({"dataset": "nothing.hdf5"}, "nothing.hdf5"),
        ({"memory": "ppo"}, "offline learning takes a memory, got the baseline 'ppo'; without memory: none"),
        ({"memory": "gruu"}, "unknown memory 'gruu'; did you mean gru"),
        ({"clone": True, "target_return": 1.0}, "cloning asks for no return: leave out clone or target_return=1"),
        ({"env": "CartPole-POMDP"}, r"CartPole-POMDP-v0 doesn't fit the dataset .*expected .* got"),
        ({"env": "CartPool"}, "CartPool"),
        ({"best": 2.0}, "best, a share of the steps, must be above 0 and at most 1, got 2.0"),
        ({"updates": 0}, "updates must be a whole number of at least 1, got 0"),
        ({"settings": {"seq_length": 3}}, "unknown setting 'seq_length'; did you mean seq_len"),
        ({"settings": {"frame_stack": 2}}, "one observation at a time, got frame_stack=2"),
        ({"settings": {"heads": 3}, "memory": "aaren"}, "heads must divide hidden_size"),
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
    monkeypatch.setattr("rl_larnn.agents.offline.config.load_cached", lambda *_, **__: dataset)
    with pytest.raises(UserError, match=r"random, episode 1: rewards: expected finite numbers, got NaN"):
        train_offline(config())


def test_a_target_far_outside_the_data_is_warned_of(inside: Path) -> None:
    told: list[list[str]] = []
    train_offline(config(target_return=50.0, updates=1), lambda settings, folder, warnings: told.append(warnings))
    assert re.fullmatch(r"the target return 50 is far outside of .*, whose episodes return -1 to 1 .*", told[0][0])


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

    def play(run: Any, make_it: Any, *rest: Any) -> None:
        asked.append(make_it.args[-1])
        (make_it.args[1]).mkdir()
        (make_it.args[1] / "x.mp4").touch()

    monkeypatch.setattr(video, "_play", play)
    monkeypatch.setattr(video.importlib.util, "find_spec", lambda name: True)
    video.record_video(loaded, target_return=0.5)
    assert asked == [0.5] and loaded.recipe(0.5).target_return == 0.5 and loaded.recipe().target_return == 1.0


# ---- the command line


@pytest.fixture
def call(inside: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    return caller("train_offline", monkeypatch, capsys)


SHORT = ["--memory", "gru", "-n", "4", "--eval-episodes", "3", "--no-progress", "--set", "batch_size=4"]


def test_the_command_trains_and_says_what(call: Call) -> None:
    status, out, err = call("--dataset", RECALL, *SHORT, "--target-return", "9", "--seed", "3")
    assert status == 0 and err.startswith("warning: the target return 9 is far outside") and err.count("\n") == 1
    folder = "runs/TMazePassive-10-corridor-5-mixed50-v0/gru-s3"
    for words in (
        "normalised score",
        "return that was asked for",
        "9.00",
        f"--logdir {folder}",
        f"evaluate_agent.py {folder}",
    ):
        assert words in out
    status, out, err = call("--resume", folder, "-n", "6", "--no-progress")
    assert (status, err) == (0, "") and "updates=6" in out


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "one of the arguments --dataset --resume is required"),
        (["--dataset", RECALL, "--set", "batches=rows"], "batches must be streams, windows or episodes, got 'rows'"),
        (["--dataset", "nowhere"], "unknown dataset 'nowhere'"),
        (["--resume", "nowhere"], "expected a run folder, got nowhere"),
        (
            ["--resume", "nowhere", "--seed", "3"],
            "--resume takes all but -n and --device from the run itself, got --seed",
        ),
        (["--dataset", RECALL, "--target-return", "high"], "invalid float value: 'high'"),
        (["--dataset", RECALL, "--target-return", "nan"], "finite"),
    ],
)
def test_bad_input_gets_one_line_and_status_2(call: Call, arguments: list[str], message: str) -> None:
    status, out, err = call(*arguments)
    assert (status, out) == (2, "") and err.startswith("error: ") and err.count("\n") == 1 and message in err


def test_ctrl_c_says_how_to_go_on(inside: Path) -> None:
    command = [
        sys.executable,
        str(SCRIPTS / "train_offline.py"),
        "--dataset",
        RECALL,
        "--memory",
        "gru",
        "-n",
        "100000",
        "--eval-freq",
        "0",
    ]
    process = subprocess.Popen(
        [*command, "--run-dir", "run"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    while "into run" not in process.stdout.readline():
        assert process.poll() is None
    while not list(Path("run").glob("checkpoint")):
        time.sleep(0.1)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert re.search(r"stopped at update \d+; continue with: python .*train_offline.py --resume run\n$", err)

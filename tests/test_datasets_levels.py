"""Levels of skill: what is collected, and its twins."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.testing as npt
import pytest

from rl_larnn.agents.behaviours import CollectConfig, collect_datasets, level_behaviours, read_behaviour
from rl_larnn.agents.behaviours.config import CollectionEnv
from rl_larnn.agents.behaviours.recipes import BehaviourRecipe
from rl_larnn.agents.reporting.reporter import Reporter
from rl_larnn.envs import make
from rl_larnn.envs.datasets import Dataset, load_dataset, local_ids, open_dataset
from rl_larnn.errors import UserError
from tests.behaviour_cases import tiny_config
from tests.dataset_cases import assert_same_episodes


class ListReporter(Reporter):
    def __init__(self) -> None:
        self.messages: list[str] = []

    def message(self, text: str) -> None:
        self.messages.append(text)


@pytest.mark.parametrize("level", ["random", "medium-replay", "medium-expert", "mixed"])
def test_each_level_is_stored_with_its_twin(store: Path, behaviour: Path, level: str) -> None:
    plain, masked = (stored.dataset for stored in collect_datasets(tiny_config(behaviour, level)))
    ending = "mixed50" if level == "mixed" else level
    assert (plain.name, masked.name) == (f"CartPole/{ending}-v0", f"CartPole-POMDP/{ending}-v0")
    assert (plain.env_id, masked.env_id) == ("CartPole-v1", "CartPole-POMDP-v0")
    trained = read_behaviour(behaviour)
    assert trained is not None and plain.references == masked.references == trained.references
    for one, other in zip(plain.episodes, masked.episodes, strict=True):
        npt.assert_array_equal(one.observations[:, [0, 2]], other.observations)
        for key in ("actions", "rewards"):
            npt.assert_array_equal(getattr(one, key), getattr(other, key))
        assert (one.terminated, one.truncated) == (other.terminated, other.truncated)
    for dataset in (plain, masked):
        found = load_dataset(dataset.name)
        assert_same_episodes(found.episodes, dataset.episodes)
        assert found.metadata == json.loads(json.dumps(dataset.metadata))
        env = make(str(dataset.env_id))
        assert (found.observation_space, found.action_space) == (env.observation_space, env.action_space)
        names = {"random": "random", "mixed": "mixed"}
        assert found.metadata["algorithm_name"] == names.get(level, "PPO")
        assert found.metadata["reference_episodes"] == 30
        assert found.metadata["level"] == level and found.metadata["played_on"] == "CartPole-v1"
    assert (plain.metadata["twin"], masked.metadata["twin"]) == (masked.name, plain.name)
    if level == "medium-replay":
        assert_same_episodes(plain.episodes, open_dataset(behaviour / "replay").episodes)
    else:
        assert sum(len(e) for e in plain.episodes[:-1]) < 800


def test_levels_differ_as_they_should(store: Path, behaviour: Path) -> None:
    levels = ("random", "medium", "expert", "mixed", "medium-expert")
    configs = [tiny_config(behaviour, level, steps=1600, seed=1) for level in levels]
    datasets = {config.level: collect_datasets(config)[0].dataset for config in configs}
    mean = {level: dataset.returns.mean() for level, dataset in datasets.items()}
    assert mean["random"] < mean["medium"] < mean["expert"]
    assert mean["random"] < mean["mixed"] < mean["expert"]
    with pytest.raises(UserError, match="brings an expert of its own: leave --expert out"):
        collect_datasets(tiny_config(behaviour, "medium", name="x", expert="expert.zip"))
    parts = datasets["medium-expert"].metadata["behaviours"]
    assert [Path(part["agent"]).name for part in parts] == ["medium.zip", "expert.zip"]
    cut = parts[0]["episodes"]
    lengths = datasets["medium-expert"].columns.lengths
    for part in (lengths[:cut], lengths[cut:]):
        assert part[:-1].sum() < 800 <= part.sum()
    assert datasets["random"].metadata["behaviours"][0]["policy"] == "random"


def test_collection_repeats_with_the_seed(store: Path, behaviour: Path) -> None:
    def play(name: str, seed: int) -> Dataset:
        return collect_datasets(tiny_config(behaviour, "medium", name=name, seed=seed))[0].dataset

    first, again, other = play("a", 1), play("b", 1), play("c", 2)
    assert_same_episodes(first.episodes, again.episodes)
    assert not np.array_equal(first.columns.observations[:50], other.columns.observations[:50])
    likeliest = collect_datasets(
        tiny_config(behaviour, "medium", name="d", seed=1, deterministic=True, reference_episodes=5)
    )
    assert likeliest[0].dataset.metadata["behaviours"][0]["deterministic"] is True
    assert likeliest[0].dataset.references != first.references  # which are of sampled actions
    assert not np.array_equal(first.columns.actions[:50], likeliest[0].dataset.columns.actions[:50])


def test_without_an_agent_one_is_trained_once(store: Path, monkeypatch: pytest.MonkeyPatch, behaviour: Path) -> None:
    trained: list[Any] = []

    def train_it(env: CollectionEnv, recipe: BehaviourRecipe, folder: Path, *rest: Any) -> Any:
        trained.append((env.plain_id, env.env_kwargs, recipe.n_timesteps, folder, *rest))
        shutil.copytree(behaviour, folder)
        return read_behaviour(folder)

    monkeypatch.setattr(level_behaviours, "train_behaviour", train_it)
    reporter = ListReporter()
    for level in ("medium", "expert"):  # the second finds what the first has left
        config = CollectConfig("CartPole-POMDP", level, steps=100, seed=2, n_timesteps=4000)
        collect_datasets(config, reporter)
    folder = Path("runs/CartPole-v1/behaviour-ppo-4000-s2")
    assert trained == [("CartPole-v1", {}, 4000, folder, 2, "cpu", reporter)]
    assert len(local_ids()) == 4
    collect_datasets(replace(config, level="random", n_timesteps=100), reporter)
    assert reporter.messages == [
        f"training a behaviour that sees everything for 4000 steps, once, into {folder}",
        "training a behaviour that sees everything for 100 steps, once, into runs/CartPole-v1/behaviour-ppo-100-s2",
    ]


def test_a_scripted_behaviour_is_preferred_and_measured(store: Path) -> None:
    config = CollectConfig("TMazePassive-10", "mixed", episodes=200, quality=0.25, env_kwargs={"corridor": 20})
    (stored,) = collect_datasets(config)
    dataset = load_dataset("TMazePassive-10-corridor-20/mixed25")
    assert stored.dataset.name == dataset.name == "TMazePassive-10-corridor-20/mixed25-v0"
    assert set(dataset.columns.lengths) == {21} and dataset.env_kwargs == {"corridor": 20}
    assert dataset.references is not None and dataset.references.maximum == 1.0
    assert abs(dataset.references.minimum + 0.983) < 0.02  # random play hardly ever leaves the start behind
    assert abs((dataset.returns == 1.0).mean() - 0.25) < 0.12
    assert dataset.metadata["behaviours"][0]["good"]["script"] == "T-Maze"
    env = make(str(dataset.env_id), **dataset.env_kwargs)
    assert env.unwrapped.corridor == 20  # type: ignore[attr-defined]
    (expert,) = collect_datasets(replace(config, level="expert", quality=None, episodes=5, reference_episodes=5))
    assert (expert.dataset.returns == 1.0).all()


def test_agents_of_ones_own(store: Path, behaviour: Path) -> None:
    medium, expert = behaviour / "medium.zip", behaviour / "expert.zip"
    config = CollectConfig("CartPole-v1", "medium", agent=medium, expert=expert, steps=200, reference_episodes=20)
    (stored,) = collect_datasets(config)
    assert stored.dataset.name == "CartPole/medium-v0" and stored.dataset.metadata["twin"] is None
    references, trained = stored.dataset.references, read_behaviour(behaviour)
    assert references is not None and trained is not None
    # Measured on other episodes than in the folder, so about the same.
    npt.assert_allclose(references, trained.references, rtol=0.5)
    (stored,) = collect_datasets(replace(config, level="expert", agent=expert, expert=None))
    assert stored.dataset.metadata["behaviours"][0]["agent"] == str(expert)
    assert stored.dataset.references == references


#: Changes of a config that collects CartPole-POMDP, and the error.
MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"level": "medium", "agent": "medium.zip"}, "medium needs the expert beside the medium agent medium.zip"),
    ({"level": "medium-replay", "agent": "medium.zip"}, "medium.zip keeps no episodes of its training"),
    ({"level": "medium-replay", "steps": 10}, "medium-replay is all episodes of the training up to medium"),
    (
        {"expert": "expert.zip"},
        "the expert expert.zip belongs beside a medium agent, at the levels medium, medium-ex",
    ),
    ({"level": "medium", "expert": "expert.zip"}, "the expert expert.zip belongs beside a medium agent"),
    ({"agent": "scripted"}, "there is no scripted behaviour for CartPole-POMDP-v0"),
    ({"env": "TMazePassive-10", "level": "medium"}, "is scripted unless --agent names another, and never medium"),
    ({"env": "CartPole-POMPD"}, "CartPole-POMDP"),
    ({"env_kwargs": {"gravity": 9}}, "cannot make the environment CartPole-POMDP"),
    ({"level": "best"}, "expected a level of random, medium, medium-replay"),
    ({"quality": 2.0}, "expected a quality, the share of good episodes, from 0 to 1, got 2.0"),
    ({"quality": 0.5}, "quality is the share of good episodes at the level mixed, not expert: leave it out"),
    ({"agent": "expert.zip", "n_timesteps": 5}, "n_timesteps is for training a behaviour, and expert.zip is trained"),
    ({"level": "random", "deterministic": True}, "no agent acts at the level random: leave deterministic out"),
    ({"env": "TMazePassive-10", "deterministic": True}, "a scripted behaviour is perfect and never trained"),
    ({"episodes": 1, "steps": 1}, "positive number of either episodes or steps"),
    ({"episodes": 0}, "positive number of either episodes or steps"),
    ({"name": "a/b"}, "expected a name of letters, digits, - and _, such as expert-v1, got 'a/b'"),
    ({"seed": -1}, "expected a seed of at least 0"),
    ({"n_timesteps": 0}, "n_timesteps must be at least 1, got 0"),
    ({"reference_episodes": 5}, "the references come with a behaviour's training: leave out reference_episodes"),
    ({"agent": "nowhere"}, "expected a run folder or an archive"),
    ({"agent": "expert.zip", "device": "tpu"}, "expected the device auto, cpu"),
]


def test_mistakes_are_reported_before_anything_is_stored(store: Path, behaviour: Path) -> None:
    for name in ("medium.zip", "expert.zip"):
        shutil.copy(behaviour / name, name)
    for changes, message in MISTAKES:
        with pytest.raises(UserError, match=re.escape(message)) as caught:
            collect_datasets(CollectConfig(**{"env": "CartPole-POMDP", **changes}))
        assert "\n" not in str(caught.value), changes
        assert not Path("runs").exists() and not list(store.rglob("*.hdf5")), changes


def test_neither_twin_is_overwritten(store: Path, behaviour: Path) -> None:
    collect_datasets(tiny_config(behaviour, "random"))
    before = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    shutil.rmtree(store / "CartPole-POMDP")
    with pytest.raises(UserError, match="the dataset CartPole/random-v0 exists already and is never overwritten"):
        collect_datasets(tiny_config(behaviour, "random", steps=5))
    after = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    assert after == {path: data for path, data in before.items() if "CartPole-POMDP" not in path.parts}
    collect_datasets(tiny_config(behaviour, "random", name="random-v1"))
    assert "CartPole-POMDP/random-v1" in local_ids()


def test_a_twin_that_is_missing_is_made_from_the_other(store: Path, behaviour: Path) -> None:
    """As after a kill between the two."""
    config = tiny_config(behaviour, "random")
    before = [stored.dataset for stored in collect_datasets(config)]
    kept = {path: path.read_bytes() for path in (store / "CartPole").rglob("*") if path.is_file()}
    shutil.rmtree(store / "CartPole-POMDP")
    after = [stored.dataset for stored in collect_datasets(config)]
    assert {path: path.read_bytes() for path in (store / "CartPole").rglob("*") if path.is_file()} == kept
    for one, other in zip(before, after, strict=True):
        assert (one.name, one.references, one.env_id) == (other.name, other.references, other.env_id)
        assert_same_episodes(one.episodes, other.episodes)
        assert json.loads(json.dumps(one.metadata)) == json.loads(json.dumps(other.metadata))


def test_a_behaviour_of_another_task_is_refused(store: Path, behaviour: Path) -> None:
    """Its replay and the returns that count as 0 and 100 are those of the task that it learned."""
    config = CollectConfig("CartPole-MDP", "expert", agent=behaviour, episodes=1)
    with pytest.raises(UserError, match="was trained on CartPole-v1, and its returns are no scale for CartPole-MDP-v0"):
        collect_datasets(config)
    config = replace(config, env="CartPole-v1", env_kwargs={"sutton_barto_reward": True})
    with pytest.raises(UserError, match=r"no scale for CartPole-v1\(sutton_barto_reward=True\)"):
        collect_datasets(config)

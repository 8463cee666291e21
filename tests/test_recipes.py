"""Settings as text, settings over recipes, and the table of recipes."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import gymnasium as gym
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_larnn.agents.settings.config import Settings, TrainConfig, resolve
from rl_larnn.agents.settings.environments import make_environments, normalized
from rl_larnn.agents.settings.models import build_model
from rl_larnn.agents.settings.overrides import apply_settings, fits, setting_types
from rl_larnn.agents.settings.recipes import DEFAULT_CONTINUOUS, DEFAULT_DISCRETE, RECIPES, Recipe, recipe_for
from rl_larnn.agents.settings.values import Linear, format_value, parse_pairs, parse_value
from rl_larnn.envs import TASKS
from rl_larnn.errors import UserError
from rl_larnn.memories import MEMORIES

numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
atoms = st.none() | st.booleans() | numbers | st.text()
literals = st.recursive(
    atoms, lambda part: st.lists(part) | st.dictionaries(st.text(), part) | st.tuples(part, part), max_leaves=6
)
schedules = st.builds(Linear, st.floats(0, 10), st.floats(0, 10))

DEFAULTS = {"CartPole-v1": DEFAULT_DISCRETE, "Pendulum-v1": DEFAULT_CONTINUOUS}
ALL_RECIPES = {**RECIPES, **DEFAULTS}


@settings(max_examples=100)
@given(literals | schedules)
def test_text_holds_every_value_exactly(value: Any) -> None:
    again = parse_value(format_value(value))
    assert again == value and type(again) is type(value)


@settings(max_examples=200)
@given(st.text())
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    try:
        parse_value(text)
    except UserError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("TRUE", True),
        ("none", None),
        ("relu", "relu"),
        ("a/b.c", "a/b.c"),
        ("linear(1e-3)", Linear(1e-3)),
        ("linear(0.2, 0.1)", Linear(0.2, 0.1)),
        ("dict(a=1)", UserError),
        ("__import__('os')", UserError),
        ("[64,", UserError),
        ("linear(fast)", UserError),
    ],
)
def test_values_people_type(text: str, value: Any) -> None:
    if value is UserError:
        with pytest.raises(UserError, match="cannot read"):
            parse_value(text)
    else:
        assert parse_value(text) == value


def test_an_object_cannot_become_text() -> None:
    with pytest.raises(UserError, match="written as text"):
        format_value(object())


def test_pairs_take_the_last_value_and_keep_later_equals_signs() -> None:
    assert parse_pairs(["a=1", "b=x=y", "a=2"]) == {"a": 2, "b": "x=y"}


@pytest.mark.parametrize("pair", ["gamma", "=1", "two words=1"])
def test_a_pair_needs_a_key_and_an_equals_sign(pair: str) -> None:
    with pytest.raises(UserError, match="expects key=value"):
        parse_pairs([pair])


def test_the_linear_schedule_is_the_one_that_training_follows() -> None:
    schedule = Linear(0.4, 0.2).schedule()
    assert [schedule(remaining) for remaining in (1.0, 0.5, 0.0)] == pytest.approx([0.4, 0.3, 0.2])


@pytest.mark.parametrize("memory", MEMORIES)
def test_no_two_settings_share_a_name(memory: str) -> None:
    keys = [key for group in setting_types(memory).values() for key in group]
    assert len(keys) == len(set(keys))
    assert {"n_timesteps", "learning_rate", "seq_len", "net_arch", "critic_memory", "hidden_size"} <= set(keys)


def test_each_setting_goes_to_its_place() -> None:
    changes = {"n_envs": 3, "gamma": 1, "clip_range": Linear(0.1), "activation_fn": "tanh", "hidden_size": 16}
    recipe = apply_settings(RECIPES["CartPole-POMDP-v0"], "gru", changes)
    assert recipe.n_envs == 3 and recipe.memory == "gru"
    assert (
        recipe.arguments["gamma"] == 1
        and recipe.arguments["clip_range"] == Linear(0.1)
        and recipe.arguments["n_epochs"] == 20
    )
    assert recipe.policy["activation_fn"] == "tanh" and recipe.policy["net_arch"] == {"pi": [64], "vf": [64]}
    assert recipe.for_memory == {"gru": {"hidden_size": 16}}


def test_options_for_all_memories_yield_to_those_of_one_and_skip_the_unknown() -> None:
    options = {"all": {"hidden_size": 32, "window": 4}, "larnn": {"window": 8}, "gru": {"layers": 2}}
    recipe = Recipe(for_memory=options)
    assert apply_settings(recipe, "larnn", {}).for_memory == {"larnn": {"hidden_size": 32, "window": 8}}
    assert apply_settings(recipe, "gru", {}).for_memory == {"gru": {"hidden_size": 32, "layers": 2}}


@pytest.mark.parametrize(
    ("memory", "changes", "message"),
    [
        ("lstm", {"gama": 0.9}, "unknown setting 'gama'; did you mean gamma"),
        ("lstm", {"window": 8}, "unknown setting 'window'"),
        ("lstm", {"n_steps": 2.5}, r"n_steps expects int, got 2.5 \(float\)"),
        ("lstm", {"n_steps": True}, r"n_steps expects int, got True \(bool\)"),
        ("lstm", {"gamma": "high"}, r"gamma expects float, got 'high' \(str\)"),
        ("lstm", {"n_envs": Linear(1)}, "n_envs expects int"),
        ("lstm", {"activation_fn": "rele"}, "activation_fn expects relu or tanh"),
        ("lstm", {"learning_rate": [1]}, r"learning_rate expects float or linear\(start, end\), got"),
        ("lstm", {"normalize_rewards": 1}, "normalize_rewards expects bool"),
        ("lsmt", {}, "unknown memory 'lsmt'; did you mean lstm"),
        ("no.such.module:Memory", {}, "cannot import the memory"),
        ("json:JSONDecoder", {}, "to be a subclass of"),
    ],
)
def test_wrong_settings_are_refused_with_the_nearest_right_thing(
    memory: str, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        apply_settings(Recipe(), memory, changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("memory", MEMORIES)
def test_recipes_use_only_settings_that_exist(memory: str) -> None:
    groups = setting_types(memory)
    hints = {key: hint for group in groups.values() for key, hint in group.items()}
    for env_id, recipe in ALL_RECIPES.items():
        for group, values in (("arguments", recipe.arguments), ("policy", recipe.policy)):
            for key, value in values.items():
                assert fits(value, groups[group][key]), (env_id, key)
        for key, value in recipe.for_memory.get(memory, {}).items():
            assert fits(value, hints[key]), (env_id, key)
        assert recipe.for_memory.keys() <= {"all", *MEMORIES}


@pytest.mark.parametrize("env_id", ALL_RECIPES)
def test_every_recipe_builds_with_every_memory(env_id: str) -> None:
    if env_id in TASKS and TASKS[env_id].extra == "envs":
        pytest.importorskip("Box2D")
    recipes = [apply_settings(ALL_RECIPES[env_id], memory, {}) for memory in MEMORIES]
    # As many environments as the recipe asks for, so that its batch size is checked against the real rollout.
    env = normalized(make_environments(env_id, {}, recipes[0], recipes[0].n_envs, seed=0), recipes[0])
    for recipe in recipes:
        assert (recipe.arguments["n_steps"] * recipe.n_envs) % recipe.arguments["batch_size"] == 0
        assert build_model(recipe, env, seed=0, device="cpu").policy is not None
    env.close()


def test_a_recipe_is_found_by_id_and_else_by_kind_of_action() -> None:
    assert recipe_for("CartPole-POMDP-v0", spaces.Discrete(2)) == (RECIPES["CartPole-POMDP-v0"], "CartPole-POMDP-v0")
    assert recipe_for("Other-v0", spaces.MultiBinary(2)) == (DEFAULT_DISCRETE, "default (discrete actions)")
    assert recipe_for("Other-v0", spaces.Box(-1, 1)) == (DEFAULT_CONTINUOUS, "default (continuous actions)")


def test_a_memory_may_change_any_setting_of_its_recipe() -> None:
    changes = {"gru": {"n_epochs": 3, "previous_action": True, "critic_memory": "none", "layers": 2}}
    recipe = Recipe(arguments={"n_epochs": 1, "gamma": 0.5}, for_memory=changes)
    changed, unchanged = apply_settings(recipe, "gru", {"n_epochs": 4}), apply_settings(recipe, "none", {})
    assert changed.arguments == {"n_epochs": 4, "gamma": 0.5} and changed.previous_action
    assert changed.policy == {"critic_memory": "none"} and changed.for_memory == {"gru": {"layers": 2}}
    assert unchanged.arguments == recipe.arguments and not unchanged.previous_action


@pytest.mark.parametrize(
    ("memory", "key"), [("aaren", "recency"), ("larnn", "positions"), ("larnn", "norm"), ("gru", "critic_memory")]
)
def test_the_word_none_is_a_choice_where_there_is_one(memory: str, key: str) -> None:
    recipe = apply_settings(Recipe(), memory, {key: parse_value("none")})
    assert {**recipe.policy, **recipe.for_memory[memory]}[key] == "none"


def test_none_stays_nothing_where_that_is_a_choice() -> None:
    assert apply_settings(Recipe(), "gru", {"horizon": parse_value("none")}).for_memory["gru"]["horizon"] is None


def test_the_memoryless_control_sees_no_previous_action() -> None:
    """The previous action is itself a memory of one step."""
    for recipe in ALL_RECIPES.values():
        assert not apply_settings(recipe, "none", {}).previous_action


def test_every_recipe_belongs_to_a_registered_task() -> None:
    assert RECIPES.keys() <= gym.registry.keys()


def test_settings_survive_json() -> None:
    for env_id in ALL_RECIPES:
        if "Lunar" in env_id:  # needs Box2D
            continue
        chosen = replace(resolve(TrainConfig(env=env_id, seed=3)), env_kwargs={"shape": (1, 2), "name": "1"})
        assert Settings.from_json(json.loads(json.dumps(chosen.to_json()))) == chosen


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_timesteps": 0}, "n_timesteps must be a whole number of at least 1, got 0"),
        ({"n_envs": -2}, "n_envs must be"),
        ({"seed": -1}, "seed must be"),
        ({"seed": 2**32}, r"seed must be below 2\*\*32"),
        ({"settings": {"n_envs": 0}}, "n_envs must be at least 1"),
        ({"eval_episodes": 0}, "eval_episodes must be"),
        ({"checkpoint_freq": 0}, "checkpoint_freq must be"),
        ({"vec_env": "subprocess"}, "unknown vec_env 'subprocess'; did you mean subproc"),
        ({"device": "gpu"}, "expected the device auto, cpu, cuda"),
        ({"device": "cuda:99"}, "torch sees [0-9]+ CUDA GPUs"),
        ({"env": "CartPole-POMPD"}, "CartPole-POMDP"),
        ({"env": "no_such_module:Thing-v0"}, "no_such_module"),
        ({"env_kwargs": {"no_such_argument": 1}}, "cannot make the environment CartPole-POMDP-v0"),
        ({"env_kwargs": {"thing": object()}}, "written as text"),
    ],
)
def test_a_wrong_config_is_refused_before_anything_is_created(change: dict[str, Any], message: str) -> None:
    config = replace(TrainConfig(env="CartPole-POMDP"), **change)
    with pytest.raises(UserError, match=message) as caught:
        resolve(config)
    assert "\n" not in str(caught.value)

"""Names: short forms resolve without a warning, foreign ids pass, unknown ones are answered with the nearest."""

import re
from pathlib import Path

import gymnasium as gym
import pytest

from rl_larnn.envs import TASKS, UnknownEnvironmentError, find_task, make, resolve_id


def test_every_form_of_our_names() -> None:
    for task in TASKS.values():
        for form in (task.id, task.short_id, f"rl_larnn.envs:{task.id}", f"rl_larnn.envs:{task.short_id}"):
            assert resolve_id(form) == task.id
            assert find_task(form) is task


def test_short_ids_make_without_a_warning() -> None:
    assert make("CartPole-POMDP").spec.id == "CartPole-POMDP-v0"  # warnings are errors in this suite
    assert make("CartPole-POMDP", max_episode_steps=7).spec.max_episode_steps == 7


@pytest.mark.parametrize(
    "name, expected",
    [
        ("CartPole-v1", "CartPole-v1"),
        ("CartPole-v0", "CartPole-v0"),  # an old version that was asked for is what is meant
        ("CartPole", "CartPole-v1"),
        ("LunarLander", "LunarLander-v3"),
        ("phys2d/CartPole", "phys2d/CartPole-v1"),
        ("gymnasium:Pendulum", "gymnasium:Pendulum-v1"),
        ("Ten", "Ten-v10"),
    ],
)
def test_other_ids_pass_through(name: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for version in (9, 10):  # newest by number, not by alphabet
        spec = gym.envs.registration.EnvSpec(f"Ten-v{version}", entry_point="nowhere:Nothing")
        monkeypatch.setitem(gym.registry, spec.id, spec)
    assert resolve_id(name) == expected
    assert find_task(name) is None


@pytest.mark.parametrize(
    "name, nearest",
    [
        ("CartPol-POMDP", "CartPole-POMDP"),
        ("cartpole-pomdp", "CartPole-POMDP"),
        ("Pendulum-POMDP-v1", "Pendulum-POMDP-v0"),
        ("CartPole-v7", "CartPole-v[01]"),
        ("HalfCheeta", "HalfCheetah"),
        ("gymnasium:Acrobt-v1", "Acrobot-v1"),
    ],
)
def test_unknown_names_get_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(UnknownEnvironmentError) as caught:
        resolve_id(name)
    message = str(caught.value)
    assert re.match(f"unknown environment {name!r}; the nearest names are {nearest}(,|$)", message)
    assert "\n" not in message


def test_names_like_nothing_get_our_list() -> None:
    for name in ("", "???", "qqqqqqqqqqqqqqqq"):
        with pytest.raises(UnknownEnvironmentError, match="ours are CartPole-POMDP, "):
            resolve_id(name)
        assert find_task(name) is None


def test_a_module_that_fails_when_it_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_tasks.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UnknownEnvironmentError, match="'broken_tasks:Env-v0': ZeroDivisionError: division by zero"):
        resolve_id("broken_tasks:Env-v0")


def test_module_that_cannot_be_imported() -> None:
    with pytest.raises(ValueError, match="cannot import module 'no_such_module' named in 'no_such_module:Env-v0'"):
        resolve_id("no_such_module:Env-v0")

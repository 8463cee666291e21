"""What RecurrentPPO refuses: options, spaces, and numbers that are not finite."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.wrappers import TimeLimit
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from rl_larnn.agents import NonFiniteError
from rl_larnn.agents.components.checks import check_spaces, choose_seq_len
from tests.ppo_cases import VECTOR, agent, collect, random_env
from tests.toy_envs import Breaks


@pytest.mark.parametrize("name", ["n_steps", "batch_size", "n_epochs"])
def test_sizes_are_at_least_one(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        agent(**{name: 0})


def test_a_minimum_without_effect_is_refused() -> None:
    with pytest.raises(ValueError, match="has no effect without normalize_advantage"):
        agent(min_advantage_std=0.1, normalize_advantage=False)


def test_a_policy_that_cannot_read_a_dict_says_which_can() -> None:
    space = spaces.Dict({"a": VECTOR})
    with pytest.raises(ValueError, match=r"are a Dict.*take one of MultiInputMemoryPolicy, MultiInputLarnn"):
        agent(env=random_env(space))


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("what", ["observation", "reward"])
def test_nan_is_named_and_keeps_the_policy(what: str, normalise: bool) -> None:
    env: Any = DummyVecEnv([lambda: Breaks(at=10**9), lambda: Breaks(what, at=5)])
    model = agent("gru", VecNormalize(env) if normalise else env, n_steps=4, batch_size=8)
    with pytest.raises(NonFiniteError, match=rf"environment 1 returned a {what} that is not finite .*at step 10"):
        model.learn(100)
    assert all(torch.isfinite(p).all() for p in model.policy.parameters())


def test_nan_in_the_last_observation_before_a_time_limit_is_named() -> None:
    env = DummyVecEnv([lambda: TimeLimit(Breaks(at=10**9), 4), lambda: TimeLimit(Breaks(at=4), 4)])
    with pytest.raises(NonFiniteError, match=r"environment 1 ended with an observation that is not finite at step 8"):
        agent("gru", env, n_steps=6, batch_size=12).learn(100)


def test_divergence_is_reported() -> None:
    model = agent("gru", learning_rate=1e30)
    with pytest.raises(NonFiniteError, match=r"not finite.*learning_rate"):
        model.learn(500)


def test_weights_spoilt_by_the_last_step_of_an_update_are_noticed() -> None:
    """Every loss of the update is of before that step."""
    env = random_env(action=spaces.Box(-1.0, 1.0, (2,), np.float32))
    model = agent("gru", env, learning_rate=1e38, n_epochs=1, batch_size=72, max_grad_norm=1e9)
    collect(model)
    with pytest.raises(NonFiniteError, match=r"training diverged: .*\(the weights\)"):
        for _ in range(20):
            model.train()


def test_nan_at_the_first_reset_is_named() -> None:
    env = DummyVecEnv([lambda: Breaks(at=10**9), lambda: Breaks(at=10**9)])
    env.envs[1].reset = lambda **_: (np.full(env.observation_space.shape, np.nan, np.float32), {})  # type: ignore[method-assign]
    with pytest.raises(NonFiniteError, match=r"environment 1 returned a observation that is not finite .*at step 0"):
        agent("gru", env).learn(72)


def test_chunks_that_are_short_for_want_of_a_divisor_are_warned_of() -> None:
    with pytest.warns(UserWarning, match="gradients reach back 1 steps only, because n_steps=125 and batch_size=64"):
        assert choose_seq_len(None, 125, 64) == 1
    assert choose_seq_len(None, 4, 64) == 4  # a whole rollout


def test_chunk_length() -> None:
    assert choose_seq_len(None, 128, 256) == 32
    assert choose_seq_len(None, 20, 100) == 20
    with pytest.warns(UserWarning, match="gradients reach back 4 steps only"):
        assert choose_seq_len(None, 2048, 60) == 4
    with pytest.raises(
        ValueError,
        match=r"n_steps must be a multiple of seq_len, got n_steps=100 and seq_len=32; "
        r"nearest: n_steps=96 or 128, or seq_len=20 or 25",
    ):
        choose_seq_len(32, 100, 64)
    with pytest.raises(ValueError, match=r"batch_size=16 and seq_len=32; nearest: batch_size=32, or seq_len=8 or 16"):
        choose_seq_len(32, 64, 16)
    with pytest.raises(ValueError, match="at least 1, got 0"):
        choose_seq_len(0, 64, 16)


def test_unsupported_spaces_are_refused() -> None:
    with pytest.raises(ValueError, match=r"observations must be Box.*got Tuple.*FlattenObservation"):
        check_spaces(spaces.Tuple((VECTOR, VECTOR)), spaces.Discrete(2))
    with pytest.raises(ValueError, match=r"got Tuple at key 'a'"):
        check_spaces(spaces.Dict({"a": spaces.Tuple((VECTOR,))}), spaces.Discrete(2))
    with pytest.raises(ValueError, match=r"actions must be Box.*got Dict"):
        check_spaces(VECTOR, spaces.Dict({"a": spaces.Discrete(2)}))


@pytest.mark.parametrize("space", [spaces.Discrete(3, start=1), spaces.MultiDiscrete([2, 2], start=[0, 4])])
@pytest.mark.parametrize("what", ["observations", "actions"])
def test_choices_not_counted_from_zero_are_refused(space: spaces.Space, what: str) -> None:
    """Stable-Baselines3 would hand out choices that do not exist."""
    both = (space, spaces.Discrete(2)) if what == "observations" else (spaces.Discrete(2), space)
    with pytest.raises(ValueError, match=f"{what} must be counted from 0, as Stable-Baselines3 does, got"):
        check_spaces(*both)
    if what == "observations":
        with pytest.raises(ValueError, match="must be counted from 0"):
            check_spaces(spaces.Dict({"a": VECTOR, "b": space}), spaces.Discrete(2))

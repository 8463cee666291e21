"""Floors of training: under the entropy, and under the deviation of the advantages."""

from __future__ import annotations

import math
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st
from option_cases import VECTOR, agent, assert_identical, collect, random_env, snapshot
from stable_baselines3.common.vec_env import DummyVecEnv

from rl_larnn.agents.components.entropy import GAIN, entropy_floor, raised_coefficient


class Pays(gym.Env[np.ndarray, Any]):
    """One step per episode, nothing to see, and a reward that is best for one action only."""

    observation_space = VECTOR

    def __init__(self, action_space: spaces.Space) -> None:
        self.action_space = action_space

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        return np.zeros(3, np.float32), {}

    def step(self, action: Any) -> Any:
        reward = -float(np.square(action).sum()) if isinstance(self.action_space, spaces.Box) else float(action == 0)
        return np.zeros(3, np.float32), reward, True, False, {}


@pytest.mark.parametrize(
    "action, floor, nats",
    [(spaces.Discrete(4), 0.4, 0.4 * math.log(4)), (spaces.Box(-2.0, 2.0, (2,), np.float32), 1.5, 1.5)],
    ids=["a share of the largest", "nats"],
)
def test_a_policy_that_would_collapse_keeps_its_entropy(action: spaces.Space, floor: float, nats: float) -> None:
    """Entropy and coefficient in the last of 30 updates. Seed 0."""
    entropy: list[float] = []
    coefficient: list[Any] = []
    for min_entropy in (None, floor):
        env = DummyVecEnv([lambda: Pays(action) for _ in range(8)])
        options: dict[str, Any] = {
            "n_steps": 8,
            "batch_size": 64,
            "n_epochs": 10,
            "learning_rate": 1e-2,
            "ent_coef": 0.001,
        }
        model = agent("none", env, min_entropy=min_entropy, policy_kwargs={"net_arch": []}, **options)
        model.learn(30 * 8 * 8)
        entropy.append(-model.logger.name_to_value["train/entropy_loss"])
        coefficient.append(model.logger.name_to_value.get("train/ent_coef"))
    assert entropy[0] < nats / 4, "without a floor it should collapse"
    assert nats - 0.1 < entropy[1] < nats + 0.1
    assert coefficient[0] is None and coefficient[1] > 0.01


def test_above_the_floor_no_bit_changes() -> None:
    after = []
    for min_entropy in (None, 0.05):
        model = agent("lstm", ent_coef=0.01, min_entropy=min_entropy)
        model.learn(200)
        after.append(snapshot(model))
    assert model.logger.name_to_value["train/ent_coef"] == pytest.approx(0.01)
    assert_identical(*after)


@given(st.floats(-3, 3), st.floats(0, 0.1))
def test_the_coefficient_is_the_slope_of_a_penalty(floor: float, ent_coef: float) -> None:
    """Of GAIN / 2 (floor - entropy)^2 below the floor, beside the linear term, by automatic differentiation."""
    entropy = torch.linspace(-4, 4, 33, dtype=torch.float64, requires_grad=True)
    penalty = GAIN / 2 * (floor - entropy).clamp(min=0).square() - ent_coef * entropy
    (slope,) = torch.autograd.grad(penalty.sum(), entropy)
    coefficient = raised_coefficient(ent_coef, floor, entropy)
    assert not coefficient.requires_grad
    torch.testing.assert_close(-slope, coefficient)


@pytest.mark.parametrize(
    "action, nats",
    [
        (spaces.Discrete(4), 0.5 * math.log(4)),
        (spaces.MultiDiscrete([2, 8]), 0.5 * math.log(16)),
        (spaces.MultiBinary(3), 0.5 * math.log(8)),
        (spaces.Box(-1.0, 1.0, (2,), np.float32), 0.5),
    ],
    ids=str,
)
def test_the_floor_is_a_share_of_what_random_actions_have(action: spaces.Space, nats: float) -> None:
    """With the floor at all of it, no policy is above: here the heads are zeroed, so that it is as random as can be."""
    assert entropy_floor(0.5, action) == pytest.approx(nats)
    if isinstance(action, spaces.Box):
        return
    model = agent("gru", random_env(action), batch_size=72, min_entropy=1.0)
    model.policy.action_net.weight.data.zero_()
    collect(model)
    (chunks,) = model.rollout_buffer.get(72)
    entropy = model._evaluate(chunks.observations, chunks.actions, chunks.state, chunks.starts)[2]
    assert entropy is not None and entropy.mean().item() == pytest.approx(model._entropy_floor)


def test_floors_that_cannot_be_are_named() -> None:
    with pytest.raises(
        ValueError, match=r"^min_entropy must be a share .*from 0 to 1, for Discrete actions, got 1\.5$"
    ):
        agent(min_entropy=1.5)
    box = spaces.Box(-1.0, 1.0, (2,), np.float32)
    with pytest.raises(ValueError, match=r"^min_entropy must be a number of nats, got nan$"):
        agent(env=random_env(box), min_entropy=math.nan)
    with pytest.raises(ValueError, match=r"^min_entropy needs an entropy in closed form, got squash_output=True"):
        agent(env=random_env(box), min_entropy=0.5, use_sde=True, policy_kwargs={"squash_output": True})
    agent(env=random_env(box), min_entropy=-3, use_sde=True)


@pytest.mark.parametrize("spread", [0.01, 0.5, 3.0])
def test_small_advantages_stay_small(spread: float) -> None:
    """The gradient is that of advantages over the larger of their deviation and the minimum."""
    gradients = []
    for minimum in (0.0, 1.0):
        model = agent(vf_coef=0.0, batch_size=72, min_advantage_std=minimum)
        collect(model)
        (chunks,) = model.rollout_buffer.get(72)
        noise = chunks.advantages.flatten().argsort().argsort().view_as(chunks.advantages).float()
        chunks = chunks._replace(advantages=7 + spread * (noise - noise.mean()) / noise.std())
        loss, _ = model._loss(chunks, 0.2, None)
        gradients.append(torch.autograd.grad(loss, list(model.policy.mlp_extractor.parameters()), allow_unused=True))
    for without, with_minimum in zip(*gradients, strict=True):
        if without is not None:
            torch.testing.assert_close(with_minimum, without * min(spread, 1.0), rtol=1e-3, atol=1e-7)


def test_a_minimum_below_zero_is_named() -> None:
    with pytest.raises(ValueError, match=r"min_advantage_std must be at least 0, got -0\.1"):
        agent(min_advantage_std=-0.1)

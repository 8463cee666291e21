"""Staying near the policy that a training begins with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from memory_cases import comparable
from option_cases import agent, assert_identical, collect, random_env, snapshot
from stable_baselines3.common.utils import LinearSchedule
from torch import Tensor

from rl_larnn.agents import RecurrentPPO
from rl_larnn.agents.components.teacher import Teacher, divergence_loss
from rl_larnn.memories import MEMORIES
from rl_larnn.policies import MemoryActorCriticPolicy

ACTIONS: dict[str, tuple[spaces.Space, dict[str, Any]]] = {
    "choice": (spaces.Discrete(3), {}),
    "choices": (spaces.MultiDiscrete([2, 3]), {}),
    "bits": (spaces.MultiBinary(2), {}),
    "numbers": (spaces.Box(-1.0, 1.0, (2,), np.float32), {}),
    "squashed": (spaces.Box(-1.0, 1.0, (2,), np.float32), {"use_sde": True, "policy_kwargs": {"squash_output": True}}),
}


def rollout(memory: str = "gru", action: str = "choice", **options: Any) -> RecurrentPPO:
    """An agent whose last rollout begins in the middle of episodes."""
    space, arguments = ACTIONS[action]
    model = agent(memory, random_env(space), **{**arguments, **options})
    collect(model)
    return model


def weights(policy: MemoryActorCriticPolicy) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in policy.state_dict().items()}


@pytest.mark.parametrize(
    ("memory", "action"),
    [*((memory, "choice") for memory in MEMORIES), *(("gru", action) for action in ACTIONS if action != "choice")],
)
def test_an_agent_that_has_not_learned_is_its_own_teacher(memory: str, action: str) -> None:
    """What it carries from rollout to rollout too: the second begins within episodes."""
    model = rollout(memory, action, kickstart_coef=1.0)
    buffer = model.rollout_buffer
    assert buffer.starts[1:].any() and not buffer.starts[0].all()
    assert model.teacher is not None
    torch.testing.assert_close(model.teacher.log_probs, buffer.by_chunk(buffer.log_probs), rtol=1e-4, atol=1e-4)
    assert model.logger.name_to_value["memory/teacher_kl"] == pytest.approx(0, abs=1e-6)
    assert model.teacher.state is not None and model._last_state is not None
    for found, expected in zip(comparable(model.teacher.state.actor), comparable(model._last_state.actor), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("memory", MEMORIES)
def test_a_teacher_reads_along_with_weights_of_its_own(memory: str) -> None:
    """Its log-probabilities are those of a walk, step by step, and the divergence is their k3."""
    model = rollout(memory)
    buffer, teacher = model.rollout_buffer, Teacher(model.policy, 1.0)
    assert_identical(weights(teacher.policy), weights(model.policy))
    generator = torch.Generator().manual_seed(3)
    for parameter in teacher.policy.parameters():
        parameter.data += 0.3 * torch.randn(parameter.shape, generator=generator)
    far = teacher.read_rollout(buffer)
    state, walked = teacher.policy.initial_state(3), []
    for step in range(24):
        one = slice(step, step + 1)
        seen, done, starts = buffer.observations[one], buffer.actions[one], buffer.starts[one]  # type: ignore[index]
        walked.append(teacher.policy.evaluate_chunks(seen, done, state, starts).log_prob)
        state = teacher.policy.act(buffer.observations[step], state, buffer.starts[step])[3]  # type: ignore[index]
    walked = torch.cat(walked)
    torch.testing.assert_close(teacher.log_probs, buffer.by_chunk(walked), rtol=1e-4, atol=1e-4)
    ratio = torch.exp(walked - buffer.log_probs)
    assert far == pytest.approx((ratio - 1 - ratio.log()).mean().item(), rel=1e-4) and far > 1e-4


def test_each_minibatch_gets_the_log_probabilities_of_its_own_steps() -> None:
    model = rollout(kickstart_coef=1.0)
    teacher, buffer = model.teacher, model.rollout_buffer
    assert teacher is not None
    teacher.log_probs = buffer.by_chunk(buffer.log_probs) - 2.0
    teacher.start_update(1.0)
    for chunks in buffer.get(24):
        torch.testing.assert_close(teacher.penalty(chunks.old_log_prob, chunks).item(), 2.0)


def test_the_loss_has_the_gradient_of_the_divergence() -> None:
    """All actions, as often as the policy would choose them."""
    logits, teacher = torch.randn(2, 5, generator=torch.Generator().manual_seed(0)).log_softmax(-1)
    logits.requires_grad_()
    log_prob = logits.log_softmax(-1)
    (expected,) = torch.autograd.grad((log_prob.exp() * (log_prob - teacher)).sum(), logits, retain_graph=True)
    each = [
        torch.autograd.grad(divergence_loss(log_prob[a], teacher[a]), logits, retain_graph=True)[0] for a in range(5)
    ]
    found = sum(probability * gradient for probability, gradient in zip(log_prob.exp().tolist(), each, strict=True))
    torch.testing.assert_close(found, expected)


def test_a_large_coefficient_keeps_the_policy_where_it_was() -> None:
    """Its teacher is what it was when training began, not when it was made."""
    far = {}
    for coefficient in (1e-9, 30.0):
        model = agent("gru", kickstart_coef=coefficient, n_epochs=8, learning_rate=3e-3)
        for parameter in model.policy.parameters():
            parameter.data.mul_(1.5)  # weights from elsewhere
        begun = weights(model.policy)
        model.learn(24 * 3 * 10)
        assert model.teacher is not None
        assert_identical(weights(model.teacher.policy), begun)
        assert not any(parameter.requires_grad for parameter in model.teacher.policy.parameters())
        collect(model, 1)
        far[coefficient] = model.logger.name_to_value["memory/teacher_kl"]
    assert 30 * far[30.0] < far[1e-9], far


def test_without_a_coefficient_there_is_no_teacher() -> None:
    model = rollout()
    assert model.teacher is None and "memory/teacher_kl" not in model.logger.name_to_value
    with pytest.raises(ValueError, match="kickstart_coef must be at least 0, got -1"):
        agent(kickstart_coef=-1.0)


def test_a_coefficient_that_has_fallen_to_nothing_changes_nothing() -> None:
    after = []
    for schedule in (LinearSchedule(0.0, 0.0, 1.0), None):
        model = agent(**({} if schedule is None else {"kickstart_coef": schedule}))
        start = snapshot(agent())
        model.policy.load_state_dict({**model.policy.state_dict(), **start})
        torch.manual_seed(0)
        model.learn(200)
        after.append(snapshot(model))
    assert_identical(*after)


def test_archives_hold_the_teacher(tmp_path: Path) -> None:
    model = agent(kickstart_coef=LinearSchedule(1.0, 0.0, 1.0), learning_rate=1e-2)
    begun = weights(model.policy)
    model.learn(200)
    model.save(tmp_path / "with")
    loaded = RecurrentPPO.load(tmp_path / "with", env=random_env(), device="cpu")
    assert loaded.teacher is not None
    assert_identical(weights(loaded.teacher.policy), begun)
    loaded.learn(200, reset_num_timesteps=False)
    assert_identical(weights(loaded.teacher.policy), begun)
    trained = weights(loaded.policy)
    loaded.learn(200)  # another training, which begins with what it is by now
    assert_identical(weights(loaded.teacher.policy), trained)


def test_archives_are_read_with_and_without(tmp_path: Path) -> None:
    plain, taught = agent(), agent(kickstart_coef=1.0)
    plain.learn(100)
    taught.learn(100)
    plain.save(tmp_path / "plain")
    taught.save(tmp_path / "taught")
    loaded = RecurrentPPO.load(tmp_path / "plain", device="cpu", kickstart_coef=1.0)
    assert loaded.teacher is not None
    assert_identical(weights(loaded.teacher.policy), weights(plain.policy))
    assert RecurrentPPO.load(tmp_path / "taught", device="cpu", kickstart_coef=0.0).teacher is None
    plain.set_parameters(str(tmp_path / "taught"), device="cpu")
    assert_identical(weights(plain.policy), weights(taught.policy))

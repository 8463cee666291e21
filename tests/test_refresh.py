"""Memory states that are read again with the present weights, and how stale the stored ones are."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from memory_cases import comparable
from option_cases import MODES, agent, collect, random_env
from torch import nn

from rl_larnn.agents import NonFiniteError
from rl_larnn.agents.components.refresh import refresh_states, staleness
from rl_larnn.memories import MEMORIES
from rl_larnn.state import leaves
from rl_larnn.upstream import PolicyState


def assert_same_states(found: list[PolicyState], expected: list[PolicyState]) -> None:
    for left, right in zip(found, expected, strict=True):
        for one, other in zip(comparable(left), comparable(right), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


REFRESHED: list[tuple[str, dict[str, Any]]] = [(memory, {}) for memory in MEMORIES]
REFRESHED += [("larnn", {"norm": "batch"}), ("aaren", {"phases": True, "heads": 2}), ("lstm", {"layers": 2})]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("memory, options", REFRESHED, ids=str)
def test_with_the_weights_that_collected_the_states_are_those_stored(
    memory: str, options: dict[str, Any], mode: str
) -> None:
    model = agent(memory, options=options, policy_kwargs={"critic_memory": mode})
    collect(model)
    buffer = model.rollout_buffer
    assert buffer.starts[1:].any() and buffer.starts[::4].any(), "starts should lie inside chunks and at their borders"
    stored = buffer.states
    model.policy.set_training_mode(True)
    refresh_states(model.policy, buffer)
    assert model.policy.training and buffer.states is not stored and len(stored) == 6
    assert_same_states(buffer.states, stored)
    assert not any(leaf.requires_grad for state in buffer.states for leaf in leaves(state))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("memory", MEMORIES)
def test_with_other_weights_the_states_are_those_of_a_walk(memory: str, mode: str) -> None:
    model = agent(memory, policy_kwargs={"critic_memory": mode})
    collect(model)
    buffer, policy = model.rollout_buffer, model.policy
    stored = buffer.states
    perturb(policy)
    refresh_states(policy, buffer)
    state, walked = stored[0], []
    with torch.no_grad():
        for step in range(24):
            if step % 4 == 0:
                walked.append(state)
            state = policy.act(buffer.observations[step], state, buffer.starts[step])[3]  # type: ignore[index]
    assert_same_states(buffer.states, walked)
    if memory not in ("none", "transformer"):  # whose states hold inputs, which no weights change
        same = [torch.equal(one, two) for one, two in zip(leaves(buffer.states[5]), leaves(stored[5]), strict=True)]
        assert not all(same)


def perturb(policy: nn.Module) -> None:
    generator = torch.Generator().manual_seed(2)
    for parameter in policy.parameters():
        parameter.data += 0.3 * torch.randn(parameter.shape, generator=generator)


@pytest.mark.parametrize("action", [spaces.Discrete(3), spaces.Box(-1.0, 1.0, (2,), np.float32)], ids=str)
@pytest.mark.parametrize("memory", ["gru", "aaren", "none"])
def test_staleness_is_the_divergence_of_two_readings(memory: str, action: spaces.Space) -> None:
    model = agent(memory, random_env(action))
    collect(model)
    buffer, policy = model.rollout_buffer, model.policy
    stored = buffer.states
    assert staleness(policy, buffer, stored, policy.evaluate_chunks) == pytest.approx(0, abs=1e-9)
    perturb(policy)
    found = staleness(policy, buffer, stored, policy.evaluate_chunks)
    with torch.no_grad():
        # Fresh: the whole rollout in one go. Stored: each chunk by itself.
        fresh = policy.evaluate_chunks(buffer.observations, buffer.actions, stored[0], buffer.starts)[1]
        pieces = [
            policy.evaluate_chunks(buffer.observations[s : s + 4], buffer.actions[s : s + 4], state, starts)[1]  # type: ignore[index]
            for s, state, starts in zip(range(0, 24, 4), stored, buffer.starts.split(4), strict=True)
        ]
    ratio = torch.exp(fresh - torch.cat(pieces))
    assert found == pytest.approx((ratio - 1 - ratio.log()).mean().item(), rel=1e-3, abs=1e-9)
    assert (found > 1e-6) == (memory != "none")


def test_epochs_but_the_first_read_fresh_states() -> None:
    model = agent("gru", n_epochs=3, batch_size=72, learning_rate=1e-2, refresh_states=True)
    collect(model)
    stored = model.rollout_buffer.states
    loss, seen = model._loss, []

    def watched(chunks: Any, *arguments: Any) -> Any:
        seen.append(chunks.state.actor.layers[0].hidden)
        return loss(chunks, *arguments)

    model._loss = watched  # type: ignore[method-assign, assignment]
    model.train()
    rows = [{tuple(row) for row in hidden.tolist()} for hidden in seen]
    first = {tuple(row) for row in leaves(stored[0].actor)[0].tolist()}
    assert rows[0] == {tuple(row) for state in stored for row in leaves(state.actor)[0].tolist()}
    assert rows[0] & rows[1] == rows[1] & rows[2] == first, "only what came before the rollout stays as it was"
    assert model.logger.name_to_value["memory/state_staleness_kl"] > 0


def test_nothing_is_refreshed_unless_asked_for() -> None:
    model = agent("gru")
    collect(model)
    stored = model.rollout_buffer.states
    model.train()
    assert model.rollout_buffer.states is stored
    assert "memory/state_staleness_kl" not in model.logger.name_to_value


def test_a_divergence_while_states_are_read_again_is_named() -> None:
    model = agent("gru", random_env(spaces.Box(-1.0, 1.0, (2,), np.float32)), refresh_states=True, n_epochs=1)
    collect(model)
    step = model.policy.optimizer.step

    def explode() -> Any:
        step()
        model.policy.action_net.weight.data.fill_(math.nan)

    model.policy.optimizer.step = explode  # type: ignore[method-assign, assignment]
    model.batch_size = 72
    with pytest.raises(NonFiniteError, match="training diverged"):
        model.train()

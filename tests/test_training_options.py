"""Options of the training that are off by default: the memories' learning rate, fresh states, the floors of entropy and
advantages, and gates that start with a horizon."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st
from memory_cases import comparable, state_like
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import DummyVecEnv
from torch import Tensor, nn
from toy_envs import RandomSpaces, RecallFirst

from rl_larnn.agents import NonFiniteError, RecurrentPPO
from rl_larnn.agents.entropy import GAIN, entropy_floor, raised_coefficient
from rl_larnn.agents.refresh import refresh_states, staleness
from rl_larnn.agents.snapshots import load_checkpoint, load_settings
from rl_larnn.agents.training import TrainConfig, resume, train
from rl_larnn.memories import MEMORIES, Memory
from rl_larnn.memories.horizon import keep_bias
from rl_larnn.optimizer import Adam, second_group
from rl_larnn.policies import PolicyState
from rl_larnn.state import leaves

VECTOR = spaces.Box(-1.0, 1.0, (3,), np.float32)
MODES = ("separate", "shared", "none")


def random_env(action: spaces.Space | None = None) -> DummyVecEnv:
    return DummyVecEnv([lambda: RandomSpaces(VECTOR, action or spaces.Discrete(3)) for _ in range(3)])


def agent(memory: str = "gru", env: Any = None, options: dict[str, Any] | None = None, **kwargs: Any) -> RecurrentPPO:
    policy_kwargs = {"memory": memory, "memory_kwargs": {"hidden_size": 8, **(options or {})}}
    policy_kwargs |= kwargs.pop("policy_kwargs", {})
    defaults: dict[str, Any] = {
        "n_steps": 24,
        "batch_size": 24,
        "n_epochs": 2,
        "seq_len": 4,
        "seed": 0,
        "device": "cpu",
    }
    return RecurrentPPO("MlpMemoryPolicy", env or random_env(), policy_kwargs=policy_kwargs, **(defaults | kwargs))


def collect(model: RecurrentPPO, rollouts: int = 2) -> None:
    """Fill the buffer, so that the last of several rollouts begins in the middle of episodes."""
    _, callback = model._setup_learn(10_000, None)
    for _ in range(rollouts):
        assert model.collect_rollouts(model.env, callback, model.rollout_buffer, model.n_steps)


def snapshot(model: RecurrentPPO) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.policy.named_parameters()}


def assert_identical(left: dict[str, Tensor], right: dict[str, Tensor]) -> None:
    assert left.keys() == right.keys()
    assert [name for name in left if not torch.equal(left[name], right[name])] == []


# ---------------------------------------------------------------------- memory_learning_rate


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("memory", MEMORIES)
def test_the_memories_learn_at_their_own_rate(memory: str, mode: str) -> None:
    """The first step of Adam is proportional to the learning rate, and the first gradient is the same."""
    moved = []
    for factor in (None, 0.25):
        options: dict[str, Any] = {
            "n_epochs": 1,
            "batch_size": 72,
            "learning_rate": 1e-2,
            "memory_learning_rate": factor,
        }
        model = agent(memory, policy_kwargs={"critic_memory": mode}, **options)
        collect(model)
        before = snapshot(model)
        model.train()
        moved.append({name: after - before[name] for name, after in snapshot(model).items()})
    slow = {"actor_memory."} | ({"critic_memory."} if mode == "separate" else set())
    for name, full in moved[0].items():
        its_own = memory != "none" and name.startswith(tuple(slow))
        torch.testing.assert_close(moved[1][name], full * (0.25 if its_own else 1.0), rtol=1e-3, atol=1e-6)
    assert any(full.abs().max() > 1e-3 for name, full in moved[0].items() if name.startswith("actor_memory."))


def test_a_factor_of_one_changes_no_bit() -> None:
    after = []
    for factor in (None, 1.0):
        model = agent("lstm", learning_rate=LinearSchedule(1e-2, 1e-3, 1.0), memory_learning_rate=factor)
        model.learn(300)
        after.append(snapshot(model))
    assert_identical(*after)


def test_a_memory_that_does_not_learn_stays_what_it_was() -> None:
    model = agent("larnn", memory_learning_rate=0.0)
    before = snapshot(model)
    model.learn(200)
    for name, value in snapshot(model).items():
        assert torch.equal(value, before[name]) == ("_memory." in name), name


def test_the_schedule_keeps_the_ratio() -> None:
    """Seen from within each step of the optimiser; between the updates it has one group, as SB3 made it."""
    model = agent("gru", learning_rate=LinearSchedule(1e-2, 2e-3, 1.0), memory_learning_rate=0.1, n_epochs=1)
    optimizer, seen = model.policy.optimizer, []
    step = optimizer.step
    memory = {id(parameter) for parameter in model.policy.memory_parameters()}

    def watched() -> Any:
        rest, own = optimizer.param_groups
        assert {id(parameter) for parameter in own["params"]} == memory
        assert memory.isdisjoint(id(parameter) for parameter in rest["params"])
        seen.append((rest["lr"], own["lr"]))
        return step()

    optimizer.step = watched  # type: ignore[method-assign, assignment]
    model.learn(24 * 3 * 4)
    rates, own = zip(*seen, strict=True)
    assert rates == pytest.approx([rate for rate in (8e-3, 6e-3, 4e-3, 2e-3) for _ in range(3)])
    assert own == pytest.approx([0.1 * rate for rate in rates])
    (group,) = optimizer.param_groups
    assert [id(p) for p in group["params"]] == [id(p) for p in model.policy.parameters()]


@pytest.mark.parametrize("factors", [(0.3, 0.3), (None, 0.3), (0.3, None)])
@pytest.mark.parametrize("way", ["load", "set_parameters"])
def test_the_optimiser_goes_on_with_any_factor(
    way: str, factors: tuple[float | None, float | None], tmp_path: Path
) -> None:
    """What was saved with one factor and goes on with another equals an agent that just changes its factor."""
    model = agent("lstm", memory_learning_rate=factors[0])
    model.learn(150)
    if way == "load":
        model.save(tmp_path / "model")
        changed: dict[str, Any] = {} if factors[0] == factors[1] else {"memory_learning_rate": factors[1]}
        other = RecurrentPPO.load(tmp_path / "model", env=random_env(), device="cpu", **changed)
    else:
        other = agent("lstm", memory_learning_rate=factors[1], seed=5)
        other.set_parameters(copy.deepcopy(model.get_parameters()))  # torch would share the moments
    assert other.memory_learning_rate == factors[1]
    assert_identical(snapshot(model), snapshot(other))
    collect(model)
    other._setup_learn(10_000, None)
    other.rollout_buffer = model.rollout_buffer
    model.memory_learning_rate = factors[1]
    for each in (model, other):
        torch.manual_seed(1)
        each.train()
    assert_identical(snapshot(model), snapshot(other))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_another_device_leaves_the_memories_their_rate(tmp_path: Path) -> None:
    model = agent("gru", memory_learning_rate=0.0, refresh_states=True, min_entropy=0.9)
    model.learn(72)
    model.save(tmp_path / "model")
    model = RecurrentPPO.load(tmp_path / "model", env=random_env(), device="cuda")
    before = snapshot(model)
    model.learn(72)
    changed = {name for name, value in snapshot(model).items() if not torch.equal(value, before[name])}
    assert changed == {name for name in before if "_memory." not in name}


@pytest.mark.parametrize("kind", [Adam, torch.optim.Adam, torch.optim.RMSprop])
def test_a_second_group_for_a_while(kind: Any) -> None:
    """Any optimiser: rates differ inside, moments stay, and afterwards, even after an error, all is as it was."""
    parameters = [nn.Parameter(torch.full((3,), float(number))) for number in range(4)]
    plain = [nn.Parameter(parameter.detach().clone()) for parameter in parameters]
    optimizer, reference = kind(parameters, lr=0.1), kind([{"params": plain[::2]}, {"params": plain[1::2]}], lr=0.1)
    for step in range(4):
        reference.param_groups[1]["lr"] = 0.1 if step == 2 else 0.05
        for index in range(4):
            parameters[index].grad, plain[index].grad = (torch.full((3,), index + step - 2.0) for _ in range(2))
        if step == 2:
            optimizer.step()
        else:
            with pytest.raises(KeyError), second_group(optimizer, parameters[1::2], 0.5):
                optimizer.step()
                raise KeyError
        reference.step()
        (group,) = optimizer.param_groups
        assert [id(parameter) for parameter in group["params"]] == [id(parameter) for parameter in parameters]
    for mine, theirs in zip(parameters, plain, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-6, atol=1e-6)


def test_bad_factors_and_groups_are_named() -> None:
    with pytest.raises(ValueError, match=r"^memory_learning_rate is a factor .* at least 0, got -0\.5$"):
        agent(memory_learning_rate=-0.5)
    model = agent(memory_learning_rate=0.5)
    collect(model)
    model.policy.optimizer.add_param_group({"params": [nn.Parameter(torch.zeros(1))]})
    with pytest.raises(ValueError, match=r"^expected an optimiser with one group of parameters, got 2 groups$"):
        model.train()


# ---------------------------------------------------------------------- refresh_states


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
    if memory != "none":
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


# ---------------------------------------------------------------------- min_entropy


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


# ---------------------------------------------------------------------- min_advantage_std


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


# ---------------------------------------------------------------------- horizon


@pytest.mark.parametrize("horizon", [2, 10, 1500, 10**6])
def test_half_lives_are_log_uniform_up_to_the_horizon(horizon: int) -> None:
    torch.manual_seed(0)
    keep = torch.sigmoid(keep_bias(5000, horizon).double())
    half_lives = math.log(0.5) / torch.log(keep)
    assert half_lives.min() > 2 * 0.999 and half_lives.max() < horizon * 1.001
    if horizon > 2:
        place = (half_lives / 2).log() / math.log(horizon / 2)  # uniform from 0 to 1
        torch.testing.assert_close(
            place.quantile(torch.arange(1, 10).double() / 10), torch.arange(1, 10).double() / 10, rtol=0, atol=0.03
        )


@pytest.mark.parametrize("bias, half_life", [(2.6, 10), (4.3, 50), (5.9, 250), (7.7, 1500)])
def test_half_lives_by_hand(bias: float, half_life: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "rand", lambda size: torch.ones(size))  # the slowest unit there is
    assert keep_bias(1, half_life).item() == pytest.approx(bias, abs=0.06)


def gated(name: str, horizon: int | None, layers: int = 1) -> Memory:
    """A memory whose gates stand where their biases put them, and to which nothing is ever added."""
    torch.manual_seed(0)
    memory = MEMORIES[name](3, 64, layers=layers, horizon=horizon)  # type: ignore[call-arg]
    for parameter_name, parameter in memory.named_parameters():
        if not parameter_name.endswith("gates.bias"):
            parameter.data.zero_()
    for layer in memory.layers:  # type: ignore[attr-defined, union-attr]
        candidate = {"lstm": slice(192, 256), "gru": slice(128, 192), "larnn": slice(0, 64)}[name]
        layer.input_to_gates.bias.data[candidate] = 0.0
    return memory


def kept(memory: Memory) -> list[Tensor]:
    """Per layer, what one step leaves of a unit that held 1."""
    state = memory.step(torch.zeros(1, 3), state_like(memory, 1, 1.0))[1]
    newest = {"LstmState": lambda layer: layer.cell, "GruState": lambda layer: layer.hidden,
              "LarnnState": lambda layer: layer.cells[:, -1]}  # fmt: skip
    return [newest[type(layer).__name__](layer)[0].detach() for layer in state.layers]


@pytest.mark.parametrize("name", ["lstm", "gru", "larnn"])
def test_memories_forget_with_the_half_lives_of_their_horizon(name: str) -> None:
    for left in kept(gated(name, horizon=1000, layers=2)):
        half_lives = math.log(0.5) / torch.log(left)
        assert 2 * 0.99 < half_lives.min() < 4 and 250 < half_lives.max() < 1000 * 1.01
        assert 16 < half_lives.median() < 128


@pytest.mark.parametrize("name", ["lstm", "larnn"])
def test_what_is_slow_to_forget_is_slow_to_learn(name: str) -> None:
    """Gates that let in are the opposite of those that keep, so that a full cell stays about full."""
    memory = gated(name, horizon=100)
    left = kept(memory)[0]
    layer = memory.layers[0]  # type: ignore[index]
    layer.input_to_gates.bias.data[{"lstm": slice(192, 256), "larnn": slice(0, 64)}[name]] = 20.0  # tanh: 1
    torch.testing.assert_close(kept(memory)[0], torch.ones(64), rtol=1e-5, atol=1e-5)
    assert left.max() < 1


@pytest.mark.parametrize("name", ["lstm", "larnn"])
def test_without_a_horizon_the_bias_is_one(name: str) -> None:
    torch.testing.assert_close(kept(gated(name, None))[0], torch.sigmoid(torch.ones(64)))


@pytest.mark.parametrize("name", ["lstm", "gru", "larnn"])
def test_a_horizon_is_at_least_two_steps(name: str) -> None:
    with pytest.raises(ValueError, match=r"^horizon must be at least 2 steps, or None, got 1$"):
        MEMORIES[name](3, 8, horizon=1)  # type: ignore[call-arg]


# ---------------------------------------------------------------------- runs

OPTIONS = {"memory_learning_rate": 0.3, "refresh_states": True, "min_entropy": 0.5, "horizon": 100}
TINY = {"n_steps": 16, "batch_size": 32, "n_epochs": 2, "seq_len": 8, "hidden_size": 8}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("options") / "run"
    config = TrainConfig("CartPole-POMDP", "lstm", settings={**TINY, **OPTIONS}, device="cpu", run_dir=folder,
                         n_timesteps=96, n_envs=2, eval_episodes=2, eval_freq=0)  # fmt: skip
    train(config)
    yield folder


def test_options_are_settings_of_a_run(run: Path) -> None:
    choices = load_settings(run).choices()
    assert {key: choices[key] for key in OPTIONS} == OPTIONS
    recipe = json.loads((run / "config.json").read_text())["recipe"]
    assert recipe["for_memory"]["lstm"]["horizon"] == 100 and recipe["ppo"]["min_entropy"] == 0.5
    header = (run / "progress.csv").read_text().splitlines()[0]
    assert "memory/state_staleness_kl" in header and "train/ent_coef" in header


def test_a_run_goes_on_with_its_options(run: Path) -> None:
    session = load_checkpoint(run, load_settings(run))
    model = session.model
    assert isinstance(model, RecurrentPPO)
    assert (model.memory_learning_rate, model.refresh_states, model.min_entropy) == (0.3, True, 0.5)
    assert model._entropy_floor == pytest.approx(0.5 * math.log(2))
    session.env.close()
    assert resume(run, n_timesteps=128).result.steps == 128


def test_recall_is_learned_with_all_options() -> None:
    """The bit shown three steps ago, as in the test without the options. Seed 0."""
    env = DummyVecEnv([RecallFirst for _ in range(16)])
    options: dict[str, Any] = {"memory_learning_rate": 0.5, "refresh_states": True, "min_entropy": 0.05}
    model = agent("lstm", env, {"hidden_size": 16, "horizon": 8}, learning_rate=3e-3, n_steps=32, batch_size=256,
                  n_epochs=5, seq_len=8, gamma=0.9, policy_kwargs={"net_arch": []}, **options)  # fmt: skip
    model.learn(12_000)
    mean: Any = evaluate_policy(model, DummyVecEnv([RecallFirst for _ in range(5)]), 50, warn=False)[0]
    assert mean > 0.95

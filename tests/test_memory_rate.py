"""The memories' own learning rate."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from option_cases import MODES, agent, assert_identical, collect, random_env, snapshot
from stable_baselines3.common.utils import LinearSchedule
from torch import nn

from rl_larnn.agents import RecurrentPPO
from rl_larnn.memories import MEMORIES
from rl_larnn.optimizer import Adam, second_group


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

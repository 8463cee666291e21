"""The instruments that measure speed: fair turns, right ratios, and a Transformer that is one."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from stable_baselines3 import PPO
from torch import nn

from rl_larnn.agents.benchmark import acting, offline, scans, timing
from rl_larnn.agents.benchmark.acting import TRANSFORMER, CachedTransformer, measure_steps
from rl_larnn.agents.benchmark.report import Report
from rl_larnn.agents.benchmark.timing import Times, take_turns
from rl_larnn.agents.benchmark.training import CONTRIB, PPO_NAME, agents, measure_collecting, measure_training
from rl_larnn.agents.reporting.reporter import Bar
from rl_larnn.state import leaves
from tests.script_cases import Call, caller


def test_methods_take_turns() -> None:
    order: list[str] = []
    turns = {name: (lambda name=name: order.append(name)) for name in "abc"}
    times = take_turns(turns, rounds=3, warm_up=1)
    assert "".join(order) == "abc" + "abcabcabc"
    assert [len(times[name]) for name in "abc"] == [3, 3, 3]


def test_a_turn_lasts_and_its_time_is_the_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that goes on by a second whenever it is read: at 1 and 2 the turn goes on, at 3 it ends, read at 4."""
    clock, calls = itertools.count(), list[None]()
    monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=lambda: float(next(clock))))
    times = take_turns({"a": lambda: calls.append(None)}, rounds=1, warm_up=0, repeat_for=2.5)
    assert len(calls) == 3 and times["a"] == (4 / 3,)


@torch.no_grad()
def test_the_transformer_read_token_by_token_is_the_transformer() -> None:
    torch.manual_seed(0)
    model, xs = CachedTransformer(rows=2, room=9), torch.randn(9, 2, scans.UNITS)
    found = torch.stack([model.step(x, read) for read, x in enumerate(xs)])
    x = model.embedding(xs)
    query, key, value = model.project(model.norm(x)).unflatten(-1, (3, acting.HEADS, -1)).permute(2, 1, 3, 0, 4)
    read = nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
    x = x + model.output(read.permute(2, 0, 1, 3).flatten(2))
    torch.testing.assert_close(found, x + model.feed_forward(x), rtol=1e-5, atol=1e-5)


def test_what_a_memory_carries_does_not_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acting, "TRIALS", 2)
    costs = measure_steps(rows=2, places=(1, 40), bar=Bar())
    for name, at in costs.items():
        grown = at[40].bytes / at[1].bytes
        assert grown == (40 if name == TRANSFORMER else 1)


def test_time_of_a_stream_by_hand() -> None:
    """10 steps of 1 s; then 10 more, from 1 s up to 3 s: 2 s each on average."""
    assert acting.cumulative_seconds({20: acting.Cost(3.0, 0), 10: acting.Cost(1.0, 0)}) == 30.0


def test_the_methods_are_alike() -> None:
    methods = agents("CartPole-POMDP-v0", 8, ["none", "lstm"], "cpu")
    assert list(methods) == [PPO_NAME, "none", "lstm", CONTRIB]
    for agent in methods.values():
        assert (agent.n_steps, agent.n_envs, agent.batch_size, agent.n_epochs) == (256, 8, 256, 10)
        widths = {layer.out_features for layer in agent.policy.mlp_extractor.modules() if isinstance(layer, nn.Linear)}
        assert widths == {64}
    assert isinstance(methods[PPO_NAME], PPO)
    few = {name: methods[name] for name in (PPO_NAME, "none")}
    assert set(measure_training(few, 1, Bar())) == set(few)
    assert set(measure_collecting(few, 1, Bar())) == {"environment", *few}


def test_a_report_as_tables_data_and_picture(tmp_path: Path) -> None:
    times = {PPO_NAME: Times((1e-3, 1e-3)), "lstm": Times((2e-3, 1e-3)), CONTRIB: Times((1e-2, 1e-2))}
    cost = {10: acting.Cost(1e-5, 512), 1000: acting.Cost(1e-5, 512)}
    report = Report("cpu", times, times, {32: {"lstm": times["lstm"]}}, {1024: {"seconds": times["lstm"]}})
    report.larnn, report.steps = {"small": {"larnn": times["lstm"], "loop": times[CONTRIB]}}, {1: {"lstm": cost}}
    text = report.markdown("python x.py")
    assert "| lstm | 667 | 0.75 (0.50 to 1.00) | 7.50 (5.00 to 10.00) |" in text
    assert len(report.tables()) == 6
    assert json.loads(json.dumps(report.as_data()))["steps"]["1"]["lstm"]["10"] == {"seconds": 1e-5, "bytes": 512}
    report.plot(tmp_path / "speed.png")
    assert (tmp_path / "speed.png").stat().st_size > 10_000


def test_the_cost_of_a_window_is_told_against_the_lstm(monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand: 3 ms and 3 ms against 2 ms and 1 ms are 1.5 and 3 times as much."""
    lstm, larnn = Times((2e-3, 1e-3)), Times((3e-3, 3e-3))
    report = Report("cpu", windows={"lstm": {"sequence": lstm, "step": lstm}, "8": {"sequence": larnn, "step": larnn}})
    ((_, _, rows),) = report.tables()
    assert rows[1] == ["window 8", "3", "2.25 (1.50 to 3.00)", "3,000", "2.25 (1.50 to 3.00)"]
    monkeypatch.setattr(scans, "LARNN_WINDOWS", (2, 3))
    found = scans.measure_windows(2, "cpu", Bar())
    assert list(found) == ["lstm", "2", "3"] and all(set(parts) == {"sequence", "step"} for parts in found.values())


def test_a_step_is_timed_behind_a_full_window(monkeypatch: pytest.MonkeyPatch) -> None:
    memory, seen = scans.build_memory("larnn", scans.UNITS, {"window": 4}), []
    run = scans.step_of(memory, 2)
    monkeypatch.setattr(memory, "scan", lambda xs, state, starts: seen.append((xs.shape[0], state)))
    run()
    ((length, state),) = seen
    assert length == 1 and (leaves(state)[-1] == 4).all()


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    return caller("benchmark_speed", monkeypatch, capsys)


def test_the_script(call: Call, tmp_path: Path) -> None:
    data, page = str(tmp_path / "x.json"), tmp_path / "x.md"
    status, out, _ = call("--only", "growth", "--rounds", "1", "--json", data, "--markdown", str(page))
    assert status == 0 and "growth with T" in out
    assert set(json.loads(Path(data).read_text())["growth"]) == {"1024", "4096", "16384"}
    heading, origin, title, *_ = page.read_text().split("\n\n")
    assert heading == "# Speed" and title == "**Aaren's average alone, growth with T**"
    assert f"`python scripts/benchmark_speed.py --only growth --rounds 1 --json {data}" in origin
    assert f"torch {torch.__version__}" in origin


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_gpu_is_one_line(call: Call) -> None:
    expected = "error: --device cuda needs a GPU that torch can use, and there is none\n"
    assert call("--device", "cuda") == (2, "", expected)


def test_offline_methods_read_the_same_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    names = (offline.DECISION_TRANSFORMER, "gru")
    monkeypatch.setattr(offline, "_OPTIONS", {name: offline._OPTIONS[name] for name in names})
    dataset = offline.random_dataset(episodes=3, length=30)
    first, second = (offline.learner(*offline._OPTIONS[name], dataset, "cpu") for name in names)
    one, other = first.batch(), second.batch()
    assert one.starts.shape == (offline.CONTEXT, offline.WINDOWS)
    torch.testing.assert_close(one.observations, other.observations)
    torch.testing.assert_close(one.actions, other.actions)
    monkeypatch.setattr(offline, "random_dataset", lambda: dataset)
    times = offline.measure_updates(2, "cpu", Bar(), repeat_for=0.0)
    assert list(times) == list(names) and all(len(own) == 2 for own in times.values())
    report = Report("cpu", offline=times)
    assert report.tables()[0][2][0][2] == "1.00 (1.00 to 1.00)" and "offline" in report.as_data()

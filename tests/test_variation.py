"""Agents on variants of their task."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rl_larnn.agents.evaluation.evaluate import evaluate
from rl_larnn.agents.evaluation.load import LoadedRun, load_run
from rl_larnn.agents.evaluation.plots import draw_variants
from rl_larnn.agents.evaluation.variation import Variant, evaluate_variants, variants_table
from rl_larnn.agents.reporting.tables import read_rows, write_rows
from rl_larnn.agents.training import TrainConfig, train
from rl_larnn.errors import UserError

TINY = {"n_steps": 16, "batch_size": 32, "n_epochs": 1, "seq_len": 16, "hidden_size": 8}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> LoadedRun:
    folder = tmp_path_factory.mktemp("runs") / "run"
    train(TrainConfig("TMazePassive-10", "gru", 64, n_envs=2, settings=TINY, eval_episodes=1, run_dir=folder))
    return load_run(folder, "cpu")


def made_up(memory: str, seed: int, value: float, mean: float) -> Variant:
    folder = f"suite/runs/{memory}-s{seed}"
    return Variant("TMazePassive-10-v0", folder, memory, seed, "corridor", value, "", 10, mean, mean - 1)


def test_each_value_is_an_environment_of_its_own(run: LoadedRun) -> None:
    found = evaluate_variants([run], "corridor", [2, 7], 3)
    assert [(variant.value, variant.episodes) for variant in found] == [(2, 3), (7, 3)]
    for variant in found:
        env = run.make_environments(3, env_kwargs={"corridor": int(variant.value)})
        expected = evaluate(run.model, env, 3)
        env.close()
        assert expected.lengths == (int(variant.value) + 1,) * 3  # an episode is one step longer than the corridor
        assert (variant.mean, variant.worst) == (expected.mean, expected.worst)


def test_other_arguments_are_held(run: LoadedRun) -> None:
    """With lengths drawn from 7 to 7, an episode is as long as with a corridor of 7."""
    (found,) = evaluate_variants([run], "shortest", [7], 2, env_kwargs={"corridor": 7})
    (expected,) = evaluate_variants([run], "corridor", [7], 2)
    assert found.worst == expected.worst == pytest.approx(expected.mean, abs=2)
    with pytest.raises(UserError, match="a shortest corridor from 1 to 3 whole steps, got 7"):
        evaluate_variants([run], "shortest", [7], 2, env_kwargs={"corridor": 3})


def test_what_is_known_is_not_evaluated_again(run: LoadedRun, tmp_path: Path) -> None:
    name = "/".join(run.folder.parts[-3:])
    known = replace(made_up("gru", run.settings.seed, 7, 0.125), run=name, episodes=1)
    other = replace(known, run="runs/TMaze/gru-s0-2")  # the same memory and seed, trained otherwise
    write_rows(tmp_path / "table.csv", Variant, [known, other])
    saved: list[list[float]] = []
    done = read_rows(tmp_path / "table.csv", Variant)
    found = evaluate_variants([run], "corridor", [7, 3, 3], 1, done, lambda now: saved.append([v.value for v in now]))
    assert {*found[:2]} == {known, other} and found[2].run == name
    assert saved == [[7, 7, 3]]


def test_other_episodes_or_arguments_are_evaluated_again(run: LoadedRun) -> None:
    first = evaluate_variants([run], "corridor", [7], 1)
    more = evaluate_variants([run], "corridor", [7], 2, first)
    assert [variant.episodes for variant in more] == [2]
    drawn = evaluate_variants([run], "corridor", [7], 2, more, env_kwargs={"shortest": 3})
    assert [variant.fixed for variant in drawn] == ["", "shortest=3"]
    with pytest.raises(UserError, match="expected each run once"):
        evaluate_variants([run, run], "corridor", [7], 1)


def test_summary_and_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    variants = [made_up("aaren", seed, value, 1.0 - seed / 4) for seed in (0, 1) for value in (50, 1e6)]
    variants.append(made_up("lstm", 0, 50, 0.5))
    assert variants_table(variants).splitlines() == [
        "| memory | seeds | corridor 50 | corridor 1,000,000 |",
        "| --- | --- | --- | --- |",
        "| aaren | 2 | 0.875 (0.750) | 0.875 (0.750) |",
        "| lstm | 1 | 0.500 (0.500) |  |",
    ]
    draw_variants(tmp_path / "new" / "variants.png", variants)
    assert (tmp_path / "new" / "variants.png").read_bytes().startswith(b"\x89PNG")


def test_bad_input(run: LoadedRun) -> None:
    with pytest.raises(UserError, match="unexpected keyword argument 'length'"):
        evaluate_variants([run], "length", [3], 1)
    with pytest.raises(UserError, match=r"corridor of at least 1 whole step, got 0\.5"):
        evaluate_variants([run], "corridor", [0.5], 1)
    other = replace(run, settings=replace(run.settings, env="CartPole-POMDP-v0"))
    with pytest.raises(UserError, match="runs of one environment, got CartPole-POMDP-v0, TMazePassive-10-v0"):
        evaluate_variants([run, other], "corridor", [3], 1)
    with pytest.raises(UserError, match="got those of TMazePassive-10-v0 by gravity"):
        evaluate_variants([run], "corridor", [3], 1, [replace(made_up("gru", 0, 3, 0), argument="gravity")])

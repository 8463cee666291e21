"""Runs under different settings, side by side."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rl_larnn.agents.evaluation.comparison import FinishedRun, comparison_tables, read_run
from rl_larnn.agents.runs.results import score
from rl_larnn.agents.settings.config import TrainConfig, resolve
from rl_larnn.agents.training.run import train
from rl_larnn.errors import UserError


def finished(seed: int, value: float | None, memory: str = "aaren", **settings: Any) -> FinishedRun:
    config = TrainConfig("TMazePassive-10", memory, seed=seed, settings=settings)
    return FinishedRun(resolve(config), [] if value is None else [[1, 0.1], [2, value]], 0.5)


def first_cells(runs: list[FinishedRun]) -> list[str]:
    """The first cell of each row."""
    return [line.split(" | ")[0].removeprefix("| ") for line in comparison_tables(runs).splitlines()[4:]]


def test_a_row_per_choice_of_settings() -> None:
    runs = [finished(4, 0.4), finished(1, 0.25, clock=True), finished(2, 0.75, clock=True), finished(3, 1.0, "gru")]
    aaren, gru = comparison_tables(runs).split("\n\n### ")
    assert aaren.splitlines() == [
        "### TMazePassive-10-v0, aaren",
        "",
        "| clock | seeds | score | worst | whole run | best agents |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
        "| True | 1 2 | 0.5 | 0.25 | 0.3 | 0.5 |",
        "| False | 4 | 0.4 | 0.4 | 0.25 | 0.5 |",
    ]
    assert gru.startswith("TMazePassive-10-v0, gru\n") and gru.endswith("| 3 | 1 | 1 | 0.55 | 0.5 |")


def test_the_best_mean_stands_first_and_a_default_is_a_choice_like_another() -> None:
    runs = [finished(0, None, heads=2), finished(0, 0.9, heads=8), finished(1, 0.9), finished(1, 0.7, heads=16)]
    assert first_cells(runs) == ["8", "16", "2"]


def test_settings_that_were_good_sooner_stand_first_among_those_that_ended_alike() -> None:
    late = replace(finished(0, 1.0, heads=2), evaluations=[[1, 0.0], [2, 0.0], [3, 1.0]])
    soon = replace(finished(0, 1.0, heads=4), evaluations=[[1, 0.0], [2, 1.0], [3, 1.0]])
    assert first_cells([late, soon]) == ["4", "2"]


def test_arguments_of_the_environment_and_the_initial_run_are_choices_too() -> None:
    plain = finished(0, 0.4)
    longer = replace(plain, settings=replace(plain.settings, env_kwargs={"corridor": 7, "shortest": 2}))
    # Those of two seeds, from runs of two seeds.
    started = [replace(plain, settings=replace(plain.settings, seed=seed, init=f"o/aaren-s{seed}")) for seed in (1, 2)]
    rows = comparison_tables([plain, longer, *started]).splitlines()
    assert rows[2].startswith("| env_kwargs | init | seeds |")
    assert {row.rsplit(" | ", 4)[0] for row in rows[4:]} == {
        "|  |  | 0",
        "| corridor=7 shortest=2 |  | 0",
        "|  | o | 1 2",
    }


def test_how_soon_a_target_was_reached() -> None:
    curves = {"soon": [[0, 0.2], [10, 0.7], [20, 0.1]], "late": [[0, 0.2], [10, 0.4], [20, 0.5]], "never": [[0, 0.4]]}
    runs = [replace(finished(seed, 1.0), evaluations=value) for seed, value in enumerate(curves.values())]

    def cell(*chosen: FinishedRun) -> str:
        header, _, row = comparison_tables(chosen, target=0.5).splitlines()[2:]
        return row.split(" | ")[header.split(" | ").index("steps to 0.5 (most)")]

    assert (cell(runs[0]), cell(*runs[:2]), cell(runs[2])) == ("10 (10)", "15 (20)", "never")
    assert cell(*runs) == "2 of 3: 15 (20)"


def test_a_score_is_the_mean_of_the_last_tenth() -> None:
    assert score([[10 * step, step] for step in range(20)]) == 18.5
    assert score([[1, 3.0], [2, 5.0]]) == 5.0


def test_runs_are_read_from_their_folders(tmp_path: Path) -> None:
    tiny = {"n_steps": 16, "batch_size": 32, "n_epochs": 1, "seq_len": 16, "hidden_size": 8}
    train(TrainConfig("TMazePassive-10", "gru", 64, n_envs=2, settings=tiny, eval_episodes=1, run_dir=tmp_path / "run"))
    run = read_run(tmp_path / "run")
    assert run.settings.choices()["hidden_size"] == 8 and run.score == score(run.evaluations)
    (tmp_path / "run" / "result.json").unlink()
    with pytest.raises(UserError, match="is not finished; go on with: --resume"):
        read_run(tmp_path / "run")

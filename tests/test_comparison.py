"""Runs under different settings, side by side."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rl_larnn.agents.evaluation.comparison import Trained, command, comparison_tables, read_run
from rl_larnn.agents.runs.results import score
from rl_larnn.agents.runs.settings_file import begun_with
from rl_larnn.agents.settings.config import TrainConfig, resolve
from rl_larnn.agents.settings.values import Linear, parse_pairs
from rl_larnn.agents.training.run import train
from rl_larnn.errors import UserError
from rl_larnn.files import write_json


def trained(seed: int, value: float | None, memory: str = "aaren", **settings: Any) -> Trained:
    config = TrainConfig("TMazePassive-10", memory, seed=seed, settings=settings)
    return Trained(resolve(config), [] if value is None else [[1, 0.1], [2, value]], 0.5)


def test_a_row_per_choice_of_settings() -> None:
    runs = [trained(4, 0.4), trained(1, 0.25, clock=True), trained(2, 0.75, clock=True), trained(3, 1.0, "gru")]
    aaren, gru = comparison_tables(runs).split("\n\n### ")
    typed = "`python scripts/train_agent.py --env TMazePassive-10-v0 --memory aaren"
    assert aaren.splitlines()[4:] == [
        f"| clock=True | 1 2 | 0.5 | 0.25 | 0.3 | 0.5 | {typed} --set clock=True` |",
        f"| clock=False | 4 | 0.4 | 0.4 | 0.25 | 0.5 | {typed}` |",
    ]
    assert gru.startswith("TMazePassive-10-v0, gru\n")


def test_what_most_rows_share_is_said_once() -> None:
    runs = [
        trained(0, 0.9, heads=2),
        trained(0, 0.8),
        trained(0, 0.7, clock=True),
        trained(0, 0.6, clock=True, heads=4, gate=True),
        trained(0, 0.5, clock=True, heads=4, n_epochs=2),
    ]
    head, said, *_ = comparison_tables(runs).split("\n\n")
    assert head == "### TMazePassive-10-v0, aaren"
    # Heads are 2, 4, 4, 8 and 8: nothing that most rows share.
    assert said == "Where a row says nothing else: n_epochs=8, clock=True, gate=False."
    labels = re.findall(r"^\| (\S.*?) \| 0 \|", comparison_tables(runs), flags=re.MULTILINE)
    assert labels == [
        "heads=2, clock=False",
        "heads=8, clock=False",
        "heads=8",
        "heads=4, gate=True",
        "n_epochs=2, heads=4",
    ]


def test_the_best_mean_stands_first() -> None:
    runs = [trained(0, None, heads=2), trained(0, 0.9, heads=8), trained(1, 0.9), trained(1, 0.7, heads=16)]
    # 8 heads are what Aaren has where nobody says anything.
    labels = re.findall(r"^\| (\S+) \| \d", comparison_tables(runs), flags=re.MULTILINE)
    assert labels == ["heads=8", "heads=16", "heads=2"]


def test_who_was_good_sooner_stands_first_among_those_that_ended_alike() -> None:
    late = replace(trained(0, 1.0, heads=2), trials=[[1, 0.0], [2, 0.0], [3, 1.0]])
    soon = replace(trained(0, 1.0, heads=4), trials=[[1, 0.0], [2, 1.0], [3, 1.0]])
    labels = re.findall(r"^\| (\S+) \| \d", comparison_tables([late, soon]), flags=re.MULTILINE)
    assert labels == ["heads=4", "heads=2"]


def test_the_command_makes_the_same_choices() -> None:
    own = {"window": 4, "learning_rate": Linear(0.002)}  # which has a space when typed
    settings = resolve(TrainConfig("CartPole-POMDP", "larnn", 777, n_envs=3, settings=own))
    typed = shlex.split(command(settings))
    assert typed[:6] == ["python", "scripts/train_agent.py", "--env", "CartPole-POMDP-v0", "--memory", "larnn"]
    pairs = list(zip(typed[6::2], typed[7::2], strict=True))
    chosen = parse_pairs([text for flag, text in pairs if flag == "--set"])
    flags = dict(pairs)
    again = TrainConfig("CartPole-POMDP", "larnn", int(flags["-n"]), n_envs=int(flags["--n-envs"]), settings=chosen)
    assert resolve(again) == settings


def test_arguments_of_the_environment_are_part_of_a_choice() -> None:
    drawn = TrainConfig("TMazePassive-10", "aaren", env_kwargs={"corridor": 7, "shortest": 2})
    chosen = "arguments=corridor=7 shortest=2"
    table = comparison_tables([Trained(resolve(drawn), [[1, 0.1], [2, 0.9]], 0.5), trained(1, 0.4)])
    typed = "`python scripts/train_agent.py --env TMazePassive-10-v0 --memory aaren"
    assert table.splitlines()[4:] == [
        f"| {chosen} | 0 | 0.9 | 0.9 | 0.5 | 0.5 | {typed} --env-kwargs corridor=7 shortest=2` |",
        f"| (one) | 1 | 0.4 | 0.4 | 0.25 | 0.5 | {typed}` |",
    ]


def test_what_a_recipe_has_come_to_say_since_is_taken_back() -> None:
    settings = resolve(TrainConfig("RepeatPreviousEasy", "aaren"))
    before = {key: value for key, value in settings.recipe.for_memory["aaren"].items() if key != "recency"}
    old = replace(settings, recipe=replace(settings.recipe, for_memory={"aaren": before}))
    assert command(old).endswith("--memory aaren --set recency=decay")


def test_how_soon_a_target_was_reached() -> None:
    trials = {"soon": [[0, 0.2], [10, 0.7], [20, 0.1]], "late": [[0, 0.2], [10, 0.4], [20, 0.5]], "never": [[0, 0.4]]}
    runs = [replace(trained(seed, 1.0), trials=value) for seed, value in enumerate(trials.values())]

    def cell(*chosen: Trained) -> str:
        head, _, row = comparison_tables(chosen, target=0.5).splitlines()[2:]
        return row.split(" | ")[head.split(" | ").index("steps to 0.5 (most)")]

    assert (cell(runs[0]), cell(*runs[:2]), cell(runs[2])) == ("10 (10)", "15 (20)", "never")
    assert cell(*runs) == "2 of 3: 15 (20)"


def test_runs_that_began_with_runs_of_other_seeds_are_one_choice(tmp_path: Path) -> None:
    fresh = resolve(TrainConfig("CartPole-POMDP", "gru"))
    runs = [Trained(fresh, [[0, 0.5]], 1.0)]
    for seed in (0, 1):
        folder = tmp_path / f"gru-s{seed}"
        folder.mkdir()
        write_json(folder / "config.json", fresh.to_json())
        runs.append(
            Trained(resolve(TrainConfig("CartPole-POMDP", seed=seed, init=folder), begun_with(folder)), [[0, 1.0]], 1.0)
        )
    *_, first, _ = comparison_tables(runs).splitlines()
    assert first.startswith(f"| init={tmp_path}/gru-s* | 0 1 | 1 | 1 | 1 | 1 |")
    assert first.endswith(f"--memory gru --init {tmp_path}/gru-s0` |")


def test_a_score_is_the_mean_of_the_last_tenth() -> None:
    assert score([[10 * step, step] for step in range(20)]) == 18.5
    assert score([[1, 3.0], [2, 5.0]]) == 5.0


def test_runs_are_read_from_their_folders(tmp_path: Path) -> None:
    tiny = {"n_steps": 16, "batch_size": 32, "n_epochs": 1, "seq_len": 16, "hidden_size": 8}
    train(TrainConfig("TMazePassive-10", "gru", 64, n_envs=2, settings=tiny, eval_episodes=1, run_dir=tmp_path / "run"))
    run = read_run(tmp_path / "run")
    assert run.settings.choices()["hidden_size"] == 8 and run.score == score(run.trials)
    (tmp_path / "run" / "result.json").unlink()
    with pytest.raises(UserError, match="is not finished; go on with: --resume"):
        read_run(tmp_path / "run")

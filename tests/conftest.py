"""Settings shared by all tests: one thread, and property-based tests that draw the same examples every time."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import Phase, settings

if TYPE_CHECKING:
    from rl_larnn.agents.training import Run

# Where there is no GPU, Triton's interpreter runs its kernels on the CPU. It looks at this when it is imported.
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")

# Sizes are tiny: more threads only wait for each other.
torch.set_num_threads(1)

# No shrinking: examples are small to begin with, and shrinking a failure here takes minutes.
settings.register_profile(
    "laws", derandomize=True, deadline=None, database=None, max_examples=20, phases=[Phase.explicit, Phase.generate]
)
settings.load_profile("laws")


@pytest.fixture(scope="session", autouse=True)
def brief_evaluations(request: pytest.FixtureRequest) -> Iterator[dict[ModuleType, int]]:
    """Fewer episodes per evaluation of a run, unless slow tests, which learn something, are among those that run.

    Tests of memories alone import no training, and need not wait for it here. The value is what was replaced.
    """
    replaced = {}
    with pytest.MonkeyPatch.context() as patch:
        for name, episodes in (("loop", 3), ("selection", 6)):
            module = sys.modules.get(f"rl_larnn.agents.training.{name}")
            if module is not None and request.config.option.markexpr == "not slow":
                replaced[module] = module.EPISODES
                patch.setattr(module, "EPISODES", episodes)
        yield replaced


@pytest.fixture
def full_evaluations(brief_evaluations: dict[ModuleType, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """As many episodes per evaluation as a run has in another process."""
    for module, episodes in brief_evaluations.items():
        monkeypatch.setattr(module, "EPISODES", episodes)


@pytest.fixture(scope="module")
def offline_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A store of datasets with those of ``tests/offline_cases.py``, collected once per module."""
    from tests.dataset_cases import store_in
    from tests.offline_cases import fill_store

    with store_in(tmp_path_factory.mktemp("store")) as folder:
        fill_store()
        yield folder


@pytest.fixture
def inside(offline_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, with the store at hand."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty store of datasets and the working directory, in a folder of their own."""
    from tests.dataset_cases import store_in

    monkeypatch.chdir(tmp_path)
    with store_in(tmp_path / "store") as folder:
        yield folder


@pytest.fixture(scope="session")
def behaviour(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A behaviour folder for CartPole, trained for a moment, once for all tests, which only read it."""
    from tests.behaviour_cases import brief_behaviour

    return brief_behaviour(tmp_path_factory.mktemp("behaviour") / "runs" / "CartPole" / "behaviour-ppo-s0")


@pytest.fixture(scope="session")
def troubled() -> Iterator[None]:
    """The environment of ``tests/training_cases.py`` that makes trouble has an id."""
    from tests.training_cases import register_trouble

    with register_trouble():
        yield


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A short run, for all tests that only read it."""
    from tests.training_cases import finished_run

    return finished_run(tmp_path_factory.mktemp("finished") / "run")


@pytest.fixture(scope="session")
def interrupted(troubled: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was stopped, for all tests that only read it."""
    from tests.training_cases import interrupted_run

    return interrupted_run(tmp_path_factory.mktemp("interrupted") / "run")

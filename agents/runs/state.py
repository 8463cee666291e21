"""Saving the agent of a run: model and statistics of normalisation."""

from __future__ import annotations

from pathlib import Path

from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

from rl_larnn.agents.runs.folder import MODEL, NORMALIZATION
from rl_larnn.files import replacing


def save_model(model: OnPolicyAlgorithm, folder: Path) -> None:
    """Write ``model.zip`` and, where the environments are normalised, ``vecnormalize.pkl``."""
    with replacing(folder / MODEL) as temporary:
        # Given an open file, Stable-Baselines3 adds no suffix to its name.
        with temporary.open("wb") as file:
            model.save(file)
    normalizer = model.get_vec_normalize_env()  # which may lie under others of Stable-Baselines3's wrappers
    if normalizer is not None:
        with replacing(folder / NORMALIZATION) as temporary:
            normalizer.save(str(temporary))

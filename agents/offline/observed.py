"""The observations of a dataset with the recipe's cues, and their statistics for normalisation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import VecNormalize

from rl_larnn.agents.settings.recipes import Recipe
from rl_larnn.envs.datasets import Dataset, Windows, windows_of
from rl_larnn.envs.wrappers.cues import action_cue_space, action_cues
from rl_larnn.envs.wrappers.joining import join, joined_space

#: Steps of a dataset that are processed at once.
_SLICE = 4096
#: With a smaller variance, a number counts as constant and is not scaled: its smallest change would become huge.
_CONSTANT = 1e-10


def observed_windows(windows: Windows, dataset: Dataset, recipe: Recipe) -> Any:
    """The observations of windows with the cues of a recipe, as its wrappers append them.

    The return-to-go is that of the data.

    :return: ``(B, K, ...)``, or such an array for each key
    """
    space, observations = dataset.observation_space, windows.observations
    for key, cue_space, cues in _cues(windows, dataset.action_space, recipe):
        observations = join(space, observations, key, cues)
        space = joined_space(space, key, cue_space)
    return observations


def _cues(windows: Windows, actions: spaces.Space, recipe: Recipe) -> Iterator[tuple[str, spaces.Box, np.ndarray]]:
    """Key, space and values (B, K, n) of each cue, in the order of ``settings.environments.wrap_environment``."""
    number = spaces.Box(-np.inf, np.inf, (1,), np.float32)
    first = windows.times[..., None] == 0
    if recipe.previous_action:
        shown = np.where(first, np.float32(0), action_cues(actions, windows.previous_actions))
        yield "previous_action", action_cue_space(actions), shown
    if recipe.first_step_flag:
        yield "first_step", number, first.astype(np.float32)
    if recipe.target_return is not None:
        yield "return_to_go", number, windows.returns_to_go[..., None].astype(np.float32)
    if recipe.step_number is not None:
        yield "step_number", number, np.minimum(windows.times, recipe.step_number)[..., None].astype(np.float32)


def fit_statistics(env: VecNormalize, dataset: Dataset, recipe: Recipe, gamma: float) -> None:
    """Set the statistics of a normaliser to those of a dataset.

    Observations get the mean and variance over all steps. Rewards, which are scaled in online training only, get the
    variance of the running discounted return, as the normaliser would have measured it.
    """
    columns = dataset.columns
    by_key: dict[str | None, RunningMeanStd] = {}
    if env.norm_obs:
        by_key = {**env.obs_rms} if isinstance(env.obs_rms, dict) else {None: env.obs_rms}
    for statistics in (env.ret_rms, *by_key.values()):
        statistics.count = 0  # new statistics include a small weight of mean 0 and variance 1
    for first in range(0, dataset.steps if by_key else 0, _SLICE):
        rows = np.arange(first, min(first + _SLICE, dataset.steps))
        windows = windows_of(columns, rows[None], columns.episode_numbers[rows][None], np.ones((1, len(rows)), bool))
        seen = observed_windows(windows, dataset, recipe)
        for key, statistics in by_key.items():
            statistics.update((seen if key is None else seen[key])[0].astype(np.float64))
    env.ret_rms.update(running_returns(dataset, gamma))
    for statistics in (env.ret_rms, *by_key.values()):
        statistics.var = np.where(statistics.var < _CONSTANT, 1.0, statistics.var)


def running_returns(dataset: Dataset, gamma: float) -> np.ndarray:
    """``(N,)`` for each step the sum of the rewards of its episode so far, the earlier ones discounted."""
    return _fold(dataset, gamma, forward=True)


def discounted_returns_to_go(dataset: Dataset, gamma: float) -> np.ndarray:
    """``(N,)`` for each step the discounted sum of its reward and the later ones of its episode."""
    return _fold(dataset, gamma, forward=False)


def _fold(dataset: Dataset, gamma: float, forward: bool) -> np.ndarray:
    """Process all episodes at once, step by step, from their first steps forward or from their last backward."""
    columns = dataset.columns
    sums, total = np.empty(dataset.steps), np.zeros(len(columns.lengths))
    for step in range(int(columns.lengths.max())):
        alive = np.flatnonzero(step < columns.lengths)
        rows = columns.offsets[alive] + (step if forward else columns.lengths[alive] - 1 - step)
        total[alive] = gamma * total[alive] + columns.rewards[rows]
        sums[rows] = total[alive]
    return sums

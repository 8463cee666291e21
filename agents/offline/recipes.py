"""Tuned settings for offline learning, by environment id. A new recipe is one entry of :data:`OFFLINE_RECIPES`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rl_larnn.agents.offline.plan import OfflinePlan
from rl_larnn.agents.settings.overrides import setting_types
from rl_larnn.agents.settings.values import Linear

#: Override the environment's recipe, for all tasks. State-dependent noise is for exploration only; returns-to-go of
#: hundreds need scaling even where the observations do not.
_COMMON = {"use_sde": False, "normalize_observations": True}

#: Tasks where a cue has to be remembered from the first step to the last, for which gradients need whole episodes. The
#: one step that needs the cue is a small part of the loss, hence the high learning rate.
_RECALL = OfflinePlan(updates=3000, batch_size=16, batches="episodes", learning_rate=Linear(3e-3))

#: Nearly all steps of these tasks are alike. While they are learned, tanh units of the heads saturate, and the one step
#: that differs gets no gradient, as measured after 100 of 1,000 updates with a corridor of 480. ReLU units do not.
_RECTIFIED = {"activation_fn": "relu"}

_RECALL_TASKS = ("TMaze", "Repeat", "Autoencode", "CountRecall", "MiniGridMemory")

#: Where actions change little from step to step, an agent that sees its last action learns to repeat it (Wen et al.,
#: Fighting Copycat Agents in Behavioral Cloning from Observation Histories, NeurIPS 2020), also the Transformer.
_SMOOTH = {"previous_action": False}
_SMOOTH_TASKS = ("Pendulum-v1", "Pendulum-POMDP-v0", "LunarLanderContinuous-v3", "LunarLanderContinuous-POMDP-v0")

#: For control tasks, by memory.
_CONTROL: Mapping[str, Mapping[str, Any]] = {
    # As many layers as the Transformer has. Where velocities are hidden, one is not enough (docs/results/offline.md).
    "aaren": {"layers": 2},
    # In episodes of a thousand steps the cells of LARNN grow to hundreds; layers that read them unbounded learn little.
    "larnn": {"bounded": True},
}

#: Settings that override the environment's recipe, and the plan, by full environment id.
OFFLINE_RECIPES: dict[str, tuple[Mapping[str, Any], OfflinePlan]] = {
    env_id: (_SMOOTH, OfflinePlan()) for env_id in _SMOOTH_TASKS
}


def offline_recipe(env_id: str, memory: str, longest: int) -> tuple[dict[str, Any], OfflinePlan]:
    """Settings that override the environment's recipe, and the plan.

    :param env_id: full id
    :param memory: name of a memory
    :param longest: steps of the longest episode in the data
    """
    recall = env_id.startswith(_RECALL_TASKS)
    settings, plan = OFFLINE_RECIPES.get(env_id, (_RECTIFIED, _RECALL) if recall else ({}, OfflinePlan()))
    if recall and "horizon" in setting_types(memory)["memory"]:
        # Gates that forget within a few steps at the start get no gradient from distant steps.
        settings = {"horizon": max(longest, 2), **settings}
    if not recall:
        settings = {**_CONTROL.get(memory, {}), **settings}
    if memory == "transformer":
        # Its memory is a window, so it is trained on windows.
        plan = replace(plan, batches="windows", batch_size=64, seq_len=20, learning_rate=Linear(1e-3))
    return {**_COMMON, **settings}, plan

"""Tuned settings for offline learning, by environment id. A new recipe is one entry of :data:`OFFLINE_RECIPES`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rl_larnn.agents.offline.plan import OfflinePlan
from rl_larnn.agents.settings.overrides import setting_types
from rl_larnn.agents.settings.values import Linear

#: Over the environment's own recipe, for all tasks. State-dependent noise is for exploration only; and returns-to-go of
#: hundreds need scaling even where the observations do not.
_COMMON = {"use_sde": False, "normalize_observations": True}

#: Tasks where one thing has to be remembered from the first step to the last: only whole episodes teach that. The one
#: step that needs it is a small part of the loss, hence the high learning rate.
_RECALL = OfflinePlan(updates=3000, batch_size=16, batches="episodes", learning_rate=Linear(3e-3))

#: Nearly all steps of these tasks are alike. While they are learned, tanh units of the heads saturate, and the one step
#: that differs gets no gradient: seen after 100 of 1,000 updates with a corridor of 480. Rectified units do not.
_RECTIFIED = {"activation_fn": "relu"}

_RECALL_TASKS = ("TMaze", "Repeat", "Autoencode", "CountRecall", "MiniGridMemory")

#: Where actions change little from step to step, an agent that sees its last action learns to repeat it (Wen et al.,
#: Fighting Copycat Agents in Behavioral Cloning from Observation Histories, NeurIPS 2020), also the Transformer.
_SMOOTH = {"previous_action": False}

#: As many layers as the Transformer has. Where velocities are hidden, one is not enough (docs/results/offline.md).
_DEEP = {"layers": 2}

#: In episodes of a thousand steps the cells of LARNN grow to hundreds; layers that read them unbounded learn little.
_BOUNDED = {"bounded": True}

#: For control tasks, by memory.
_CONTROL: Mapping[str, Mapping[str, Any]] = {"aaren": _DEEP, "larnn": _BOUNDED}

#: Settings over the environment's own recipe, and the plan, by full environment id.
OFFLINE_RECIPES: dict[str, tuple[Mapping[str, Any], OfflinePlan]] = {
    env_id: (_SMOOTH, OfflinePlan())
    for env_id in (
        "Pendulum-v1",
        "Pendulum-POMDP-v0",
        "LunarLanderContinuous-v3",
        "LunarLanderContinuous-POMDP-v0",
    )
}


def offline_recipe(env_id: str, memory: str, longest: int) -> tuple[dict[str, Any], OfflinePlan]:
    """Settings over the environment's own recipe, and the plan.

    :param env_id: full id
    :param memory: name of a memory
    :param longest: steps of the longest episode in the data
    """
    recall = env_id.startswith(_RECALL_TASKS)
    settings, plan = OFFLINE_RECIPES.get(env_id, (_RECTIFIED, _RECALL) if recall else ({}, OfflinePlan()))
    if recall and "horizon" in setting_types(memory)["memory"]:
        # Gates that begin by forgetting within steps get no gradient from the far end.
        settings = {"horizon": max(longest, 2), **settings}
    if not recall:
        settings = {**_CONTROL.get(memory, {}), **settings}
    if memory == "transformer":
        # It remembers a window and no more, so it is trained on windows.
        plan = replace(plan, batches="windows", batch_size=64, seq_len=20, learning_rate=Linear(1e-3))
    return {**_COMMON, **settings}, plan

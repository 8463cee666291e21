"""Tuned settings for offline learning, by environment id. A new recipe is one entry of :data:`OFFLINE_RECIPES`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rl_larnn.agents.offline.plan import OfflinePlan
from rl_larnn.agents.settings.overrides import setting_types
from rl_larnn.agents.settings.values import Linear

#: Over the environment's own recipe, for all: state-dependent noise is made for exploring; and returns-to-go of
#: hundreds have to be scaled also where the observations alone would do as they are.
_COMMON = {"use_sde": False, "normalize_observations": True}

#: Where one thing has to be kept from the beginning to the end: whole episodes, or nothing teaches to keep it. The one
#: step that asks for it is lost among all others, hence the high rate.
_RECALL = OfflinePlan(updates=3000, batch_size=16, batches="episodes", learning_rate=Linear(3e-3))

#: Nearly all steps are alike there. While these are learned, the tanh units of a head come to stand at their ends, and
#: then the one step that differs has no gradient left: seen after 100 of 1,000 updates with a corridor of 480.
_OPEN = {"activation_fn": "relu"}

_RECALL_TASKS = ("TMaze", "Repeat", "Autoencode", "CountRecall", "MiniGridMemory")

#: Where actions change little from step to step, who sees its last one learns to repeat it ("copycats", Wen et al.,
#: Fighting Copycat Agents in Behavioral Cloning from Observation Histories, NeurIPS 2020); the Transformer too.
_SMOOTH = {"previous_action": False}

#: As deep as the Transformer whose attention it takes the place of. Where velocities are hidden, one layer is not
#: enough (docs/results/offline.md).
_DEEP = {"layers": 2}

#: In episodes of a thousand steps the cells of LARNN add up to hundreds; what reads them as they are learns little.
_BOUNDED = {"bounded": True}

#: Where something moves, by memory.
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
    settings, plan = OFFLINE_RECIPES.get(env_id, (_OPEN, _RECALL) if recall else ({}, OfflinePlan()))
    if recall and "horizon" in setting_types(memory)["memory"]:
        # Gates that begin by forgetting within steps get no gradient from the far end.
        settings = {"horizon": max(longest, 2), **settings}
    if not recall:
        settings = {**_CONTROL.get(memory, {}), **settings}
    if memory == "transformer":
        # It remembers no more than a window, which is then all that it is taught on.
        plan = replace(plan, batches="windows", batch_size=64, seq_len=20, learning_rate=Linear(1e-3))
    return {**_COMMON, **settings}, plan

"""Partially observable tasks and the wrappers they are made of. Importing this package registers the tasks."""

from rl_larnn.envs.ids import UnknownEnvironmentError, find_task, make, resolve_id
from rl_larnn.envs.registry import TASKS, register_tasks
from rl_larnn.envs.task import Bound, Task
from rl_larnn.envs.wrappers import (
    FirstStepFlag,
    FlickerObservation,
    FreezeObservation,
    HideInfo,
    MaskObservation,
    NoisyObservation,
    ObjectsInView,
    PreviousAction,
    ReturnToGo,
    SelectActions,
    StatePart,
    StepNumber,
    VectorObservation,
)

register_tasks()

__all__ = [
    "TASKS",
    "Bound",
    "FirstStepFlag",
    "FlickerObservation",
    "FreezeObservation",
    "HideInfo",
    "MaskObservation",
    "NoisyObservation",
    "ObjectsInView",
    "PreviousAction",
    "ReturnToGo",
    "SelectActions",
    "StatePart",
    "StepNumber",
    "Task",
    "UnknownEnvironmentError",
    "VectorObservation",
    "find_task",
    "make",
    "resolve_id",
]

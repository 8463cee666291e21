"""Partially observable tasks and the wrappers they are made of. Importing this package registers the tasks."""

import importlib
import sys

from rl_larnn.envs import wrappers
from rl_larnn.envs.ids import UnknownEnvironmentError, find_task, make, resolve_id
from rl_larnn.envs.registry import TASKS, register_tasks
from rl_larnn.envs.task import Bound, Task
from rl_larnn.envs.wrappers import *  # noqa: F403

#: Former names of modules. Environment specs stored by earlier revisions, in Minari datasets for example, name them.
_FORMER_MODULES = {
    f"{__name__}.{module}": f"{wrappers.__name__}.{module}"
    for module in ("conditioning", "corruption", "cues", "freezing", "joining", "reshaping")
}
for _former, _module in _FORMER_MODULES.items():
    sys.modules[_former] = importlib.import_module(_module)

register_tasks()

__all__ = ["TASKS", "Bound", "Task", "UnknownEnvironmentError", "find_task", "make", "resolve_id"]
__all__ += wrappers.__all__

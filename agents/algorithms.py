"""The table of algorithms: name -> class, policies, settings. A new algorithm is one file and one row here.

No other code depends on an algorithm's name. All rows but ours are baselines of Stable-Baselines3 and sb3-contrib with
the same commands and recipes. PPO, which has no memory, gets one more layer of the memory's width in front of its own.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sb3_contrib import RecurrentPPO as ContribRecurrentPPO
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
from stable_baselines3 import PPO
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy

from rl_larnn.agents.recurrent_ppo import RecurrentPPO
from rl_larnn.memory import Memory
from rl_larnn.policies import MemoryActorCriticPolicy

#: Default units of the layer in place of a memory, and of SB3's own layers.
_WIDTH = 64

Options = Mapping[str, Any]
MemoryKind = str | type[Memory] | None
#: Arguments of a policy, the memory or None, and options of the memory, to the policy's keyword arguments.
PolicyArguments = Callable[[Options, MemoryKind, Options], dict[str, Any]]


def _with_memory(arguments: Options, memory: MemoryKind, options: Options) -> dict[str, Any]:
    return {**arguments, "memory": memory, "memory_kwargs": dict(options)}


def _with_lstm(arguments: Options, memory: MemoryKind, options: Options) -> dict[str, Any]:
    return {"lstm_hidden_size": options.get("hidden_size", _WIDTH), **arguments}


def _with_layer(arguments: Options, memory: MemoryKind, options: Options) -> dict[str, Any]:
    heads = arguments.get("net_arch", [_WIDTH, _WIDTH])
    heads = heads if isinstance(heads, Mapping) else {"pi": heads, "vf": heads}
    width = options.get("hidden_size", _WIDTH)
    return {**arguments, "net_arch": {name: [width, *layers] for name, layers in heads.items()}}


@dataclass(frozen=True)
class Algorithm:
    """One row of the table.

    :param learner: the class, with the interface of Stable-Baselines3's on-policy algorithms
    :param policy: the class of its policies: the arguments of its constructor are their settings
    :param policy_suffix: the names of its policies are Mlp, Cnn or MultiInput and this
    :param policy_arguments: makes the policy's keyword arguments from a recipe's
    :param takes_memory: whether it trains a memory of :data:`rl_larnn.memories.MEMORIES`; if not, its one option of a
        memory is ``hidden_size``
    :param frame_stack: observations that it sees at once, the current one included
    """

    learner: type[OnPolicyAlgorithm]
    policy: type[ActorCriticPolicy] = ActorCriticPolicy
    policy_suffix: str = "Policy"
    policy_arguments: PolicyArguments = _with_layer
    takes_memory: bool = False
    frame_stack: int = 1

    def arguments(self, recipe: Options) -> dict[str, Any]:
        """The arguments of a recipe that the algorithm takes."""
        return _known(self.learner, recipe)

    def policy_options(self, recipe: Options) -> dict[str, Any]:
        """The policy options of a recipe that its policies take."""
        return _known(self.policy, recipe)


#: The name of our own algorithm.
OURS = "recurrent-ppo"

ALGORITHMS: dict[str, Algorithm] = {
    OURS: Algorithm(RecurrentPPO, MemoryActorCriticPolicy, "MemoryPolicy", _with_memory, takes_memory=True),
    "contrib-lstm": Algorithm(ContribRecurrentPPO, RecurrentActorCriticPolicy, "LstmPolicy", _with_lstm),
    "ppo-16-frames": Algorithm(PPO, frame_stack=16),
    "ppo-4-frames": Algorithm(PPO, frame_stack=4),
    "ppo": Algorithm(PPO),
}

#: The algorithms that take no memory: memories are compared with them.
BASELINES = tuple(name for name, algorithm in ALGORITHMS.items() if not algorithm.takes_memory)


def method_name(algorithm: str, memory: str | None) -> str:
    """The name that runs are compared by: the memory of our own algorithm; of another the algorithm, and its memory."""
    if memory is None:
        return algorithm
    return memory if algorithm == OURS else f"{algorithm}-{memory}"


def keyword_parameters(owner: type) -> dict[str, tuple[inspect.Parameter, type]]:
    """The keyword arguments of a class's constructor, each with the class that declares it.

    Where the constructor has ``**kwargs``, those of its base class are included.
    """
    found: dict[str, tuple[inspect.Parameter, type]] = {}
    for base in inspect.getmro(owner):
        if "__init__" not in vars(base) or base is object:
            continue
        parameters = list(inspect.signature(base.__init__).parameters.values())[1:]  # type: ignore[misc]
        for item in parameters:
            if item.kind in (item.POSITIONAL_OR_KEYWORD, item.KEYWORD_ONLY):
                found.setdefault(item.name, (item, base))
        if not any(item.kind is item.VAR_KEYWORD for item in parameters):
            break
    return found


def _known(owner: type, arguments: Options) -> dict[str, Any]:
    names = keyword_parameters(owner)
    return {key: value for key, value in arguments.items() if key in names}

"""What a memory has to beat: agents of Stable-Baselines3 and sb3-contrib, trained by the same commands and settings.

They go by a name in the place of a memory's: ``--memory ppo-4-frames``. To make up for the memory that they lack, PPO
gets one more layer of the memory's width in front of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sb3_contrib import RecurrentPPO as ContribRecurrentPPO
from stable_baselines3 import PPO
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

from rl_larnn.agents.recurrent_ppo import RecurrentPPO

#: Settings of ours that mean nothing here, and the units in the place of the memory where nothing else is said.
_OURS = {
    "seq_len",
    "critic_memory",
    "min_advantage_std",
    "kickstart_coef",
}
_WIDTH = 64


@dataclass(frozen=True)
class Baseline:
    """An agent that is not ours.

    :param algorithm: its class
    :param policy: what its policies' names end with
    :param frame_stack: observations that it sees at once, the present one included
    """

    algorithm: type[OnPolicyAlgorithm]
    policy: str
    frame_stack: int = 1

    def policy_arguments(self, arguments: Mapping[str, Any], hidden_size: int = _WIDTH) -> dict[str, Any]:
        """A recipe's arguments of the policy, with ``hidden_size`` units in the place of the memory."""
        kept, width = without_ours(arguments), hidden_size
        if self.algorithm is ContribRecurrentPPO:
            return {"lstm_hidden_size": width, **kept}
        heads = kept.get("net_arch", [_WIDTH, _WIDTH])
        heads = heads if isinstance(heads, Mapping) else {"pi": heads, "vf": heads}
        return {**kept, "net_arch": {name: [width, *layers] for name, layers in heads.items()}}


def without_ours(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a recipe's arguments that the algorithms of others take."""
    return {key: value for key, value in arguments.items() if key not in _OURS}


#: Every baseline by its name.
BASELINES: dict[str, Baseline] = {
    "contrib-lstm": Baseline(ContribRecurrentPPO, "LstmPolicy"),
    "ppo-16-frames": Baseline(PPO, "Policy", frame_stack=16),
    "ppo-4-frames": Baseline(PPO, "Policy", frame_stack=4),
    "ppo": Baseline(PPO, "Policy"),
}


def algorithm_of(memory: str) -> type[OnPolicyAlgorithm]:
    """The class that trains the agent of this name: ours, or a baseline's."""
    return BASELINES[memory].algorithm if memory in BASELINES else RecurrentPPO

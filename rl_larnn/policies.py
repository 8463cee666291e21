"""Actor-critic policies with a memory between the feature extractor and the heads.

    observation -> features -> memory -> net_arch -> action distribution, value

Letters: T time, B batch rows, F features, O width of what a memory tells.

Two doors lead in. :class:`rl_larnn.agents.RecurrentPPO` uses :meth:`~MemoryActorCriticPolicy.act`,
:meth:`~MemoryActorCriticPolicy.state_values` and :meth:`~MemoryActorCriticPolicy.evaluate_chunks`, which speak
:class:`~rl_larnn.upstream.PolicyState`. Everything of Stable-Baselines3 and stock ``sb3_contrib.RecurrentPPO`` uses the
methods that it knows (``forward``, ``predict``, ``evaluate_actions`` ...): :mod:`rl_larnn.upstream`.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from gymnasium import spaces
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
from stable_baselines3.common.distributions import CategoricalDistribution, Distribution
from stable_baselines3.common.torch_layers import (
    BaseFeaturesExtractor,
    CombinedExtractor,
    FlattenExtractor,
    MlpExtractor,
    NatureCNN,
)
from stable_baselines3.common.type_aliases import Schedule
from torch import Tensor

from rl_larnn.memories import DEFAULT_MEMORY, build_memory
from rl_larnn.memories.none import NoMemory
from rl_larnn.memories.options import check_choice
from rl_larnn.memory import Memory
from rl_larnn.observations import Observation, map_observation
from rl_larnn.optimizer import Adam
from rl_larnn.state import State
from rl_larnn.upstream import ChunkEvaluation, CriticMemory, PolicyState, UpstreamPolicy

#: What sb3-contrib calls these options; they get a hint instead of a bare "unexpected keyword".
_FOREIGN_OPTIONS = {
    "lstm_hidden_size": "memory_kwargs=dict(hidden_size=...)",
    "n_lstm_layers": "memory_kwargs=dict(layers=...)",
    "shared_lstm": 'critic_memory="shared"',
    "enable_critic_lstm": 'critic_memory="separate" or "none"',
    "lstm_kwargs": "memory_kwargs",
}


class MemoryActorCriticPolicy(UpstreamPolicy):
    """Actor-critic policy with any memory, for vector and discrete observations.

    :param observation_space: see SB3
    :param action_space: see SB3
    :param lr_schedule: learning rate by remaining progress
    :param memory: name of a memory (:data:`rl_larnn.memories.MEMORIES`) or a subclass of
        :class:`rl_larnn.memory.Memory`
    :param memory_kwargs: options of the memory, such as ``dict(hidden_size=64, heads=4)``
    :param critic_memory: ``"separate"``: the critic has its own; ``"shared"``: it reads the actor's, without sending
        gradients into it (as sb3-contrib's ``shared_lstm``); ``"none"``: it sees the present only
    :param policy_kwargs: every other policy option of SB3 (``net_arch``, ``activation_fn``, ``ortho_init`` ...)
    :raises ValueError: for an unknown memory or option, with the nearest known one
    """

    default_memory: ClassVar[str] = DEFAULT_MEMORY
    default_features_extractor: ClassVar[type[BaseFeaturesExtractor]] = FlattenExtractor

    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        lr_schedule: Schedule,
        *,
        memory: str | type[Memory] | None = None,
        memory_kwargs: dict[str, Any] | None = None,
        critic_memory: CriticMemory = "separate",
        **policy_kwargs: Any,
    ) -> None:
        for name in policy_kwargs:
            if name in _FOREIGN_OPTIONS:
                raise ValueError(
                    f"{name} is an option of sb3-contrib's LSTM policy; here it is {_FOREIGN_OPTIONS[name]}"
                )
        check_choice("critic_memory", critic_memory, ("separate", "shared", "none"))
        self.memory = self.default_memory if memory is None else memory
        self.memory_kwargs = dict(memory_kwargs or {})
        self.critic_mode = critic_memory
        policy_kwargs.setdefault("features_extractor_class", self.default_features_extractor)
        if policy_kwargs.get("optimizer_class", torch.optim.Adam) is torch.optim.Adam:
            # One kernel for all parameters instead of a loop over them, and SB3's epsilon.
            given = policy_kwargs.get("optimizer_kwargs") or {}
            fused = not (given.get("foreach") or given.get("differentiable"))  # which exclude each other
            policy_kwargs["optimizer_class"] = Adam if fused else torch.optim.Adam
            policy_kwargs["optimizer_kwargs"] = {"eps": 1e-5, "fused": fused, **given}
        if critic_memory == "shared" and not policy_kwargs.get("share_features_extractor", True):
            raise ValueError('critic_memory="shared" needs share_features_extractor=True: one memory reads one stream')
        # The parent would build two LSTMs; its own parent builds all else and calls _build_mlp_extractor on the way.
        super(RecurrentActorCriticPolicy, self).__init__(observation_space, action_space, lr_schedule, **policy_kwargs)

    def _build_mlp_extractor(self) -> None:
        """Make the memories and the networks above them (SB3 calls this before it makes the optimiser)."""
        self.actor_memory = build_memory(self.memory, self.features_dim, self.memory_kwargs)
        width = self.actor_memory.output_size
        self.critic_memory: Memory | None = None
        if self.critic_mode == "separate":
            self.critic_memory = build_memory(self.memory, self.features_dim, self.memory_kwargs)
        elif self.critic_mode == "none":
            self.critic_memory = NoMemory(self.features_dim, width)
        if self.ortho_init:
            for module in (self.actor_memory, self.critic_memory):
                if module is not None:
                    module.orthogonal_init()
        self._announce_state(self.actor_memory.initial_state(1))
        self.mlp_extractor = MlpExtractor(
            width, net_arch=self.net_arch, activation_fn=self.activation_fn, device=self.device
        )

    def _get_constructor_parameters(self) -> dict[str, Any]:
        data = super()._get_constructor_parameters()
        return data | {
            "memory": self.memory,
            "memory_kwargs": self.memory_kwargs,
            "critic_memory": self.critic_mode,
        }

    def initial_state(self, batch_size: int) -> PolicyState:
        """The state of ``batch_size`` rows that have seen nothing."""
        critic = self.critic_memory
        nothing = self.actor_memory.zeros(batch_size, 0)
        return PolicyState(
            self.actor_memory.initial_state(batch_size),
            nothing if critic is None else critic.initial_state(batch_size),
        )

    def act(
        self, obs: Observation, state: PolicyState, starts: Tensor, deterministic: bool = False
    ) -> tuple[Tensor, Tensor, Tensor, PolicyState]:
        """One step of every row.

        :param obs: observations of B rows
        :param state: what the rows remember
        :param starts: ``(B,)`` bool, true where the observation opens a new episode
        :return: actions ``(B, ...)``, values ``(B,)``, log-probabilities ``(B,)`` and the state after the step
        """
        actor_features, critic_features = self._features(obs)
        actor, actor_state = _advance(self.actor_memory, actor_features, state.actor, starts)
        critic, critic_state = actor, state.critic
        if self.critic_memory is not None:
            critic, critic_state = _advance(self.critic_memory, critic_features, state.critic, starts)
        actions, log_prob = self._choose(actor, deterministic)
        return actions, self._values(critic), log_prob, PolicyState(actor_state, critic_state)

    def state_values(self, obs: Observation, state: PolicyState, starts: Tensor) -> Tensor:
        """Values ``(B,)`` of the observations, given what came before them; arguments as in :meth:`act`."""
        actor_features, critic_features = self._features(obs)
        if self.critic_memory is None:
            return self._values(_advance(self.actor_memory, actor_features, state.actor, starts)[0])
        return self._values(_advance(self.critic_memory, critic_features, state.critic, starts)[0])

    def evaluate_chunks(
        self, obs: Observation, actions: Tensor, state: PolicyState, starts: Tensor, critic: bool = True
    ) -> ChunkEvaluation:
        """Evaluate the actions of whole chunks of time, with episode starts anywhere inside.

        :param obs: ``(T, B, ...)``
        :param actions: ``(T, B, ...)``
        :param state: the memory of each row before its first step
        :param starts: ``(T, B)`` bool
        :param critic: also compute values; if false, values are None and the critic's state is unchanged
        """
        actor_features, critic_features = self._timed_features(obs, starts.shape)
        actor, actor_state = self.actor_memory.scan(actor_features, state.actor, starts)
        values, critic_state = None, state.critic
        if critic:
            critic_output = actor.detach()
            if self.critic_memory is not None:
                critic_output, critic_state = self.critic_memory.scan(critic_features, state.critic, starts)
        log_prob, entropy = self._evaluate(actor.flatten(0, 1), actions.flatten(0, 1))
        if critic:
            values = self._values(critic_output.flatten(0, 1)).view(starts.shape)
        return ChunkEvaluation(
            values,
            log_prob.view(starts.shape),
            None if entropy is None else entropy.view(starts.shape),
            PolicyState(actor_state, critic_state),
        )

    def _remember(self, obs: Observation, actor: State, starts: Tensor) -> tuple[Tensor, State]:
        features, _ = self._features(obs)
        return _advance(self.actor_memory, features, actor, starts)

    def _choose(self, memory_output: Tensor, deterministic: bool) -> tuple[Tensor, Tensor]:
        """Actions and their log-probabilities."""
        if isinstance(self.action_dist, CategoricalDistribution):
            log_probs = self._log_probs(memory_output)
            chosen = log_probs.argmax(-1, True) if deterministic else torch.multinomial(log_probs.exp(), 1)
            return chosen.squeeze(-1), log_probs.gather(-1, chosen).squeeze(-1)
        distribution = self._distribution(memory_output)
        actions = distribution.get_actions(deterministic=deterministic)
        log_prob = distribution.log_prob(actions)
        return actions.reshape((-1, *(self.action_space.shape or ()))), log_prob

    def _evaluate(self, memory_output: Tensor, actions: Tensor) -> tuple[Tensor, Tensor | None]:
        """Log-probabilities and entropies of actions."""
        if isinstance(self.action_dist, CategoricalDistribution):
            log_probs = self._log_probs(memory_output)
            chosen = log_probs.gather(-1, actions.unsqueeze(-1)).squeeze(-1)
            return chosen, -(log_probs.exp() * log_probs).sum(-1)
        distribution = self._distribution(memory_output)
        return distribution.log_prob(actions.reshape(len(actions), -1)), distribution.entropy()

    def _features(self, obs: Observation) -> tuple[Tensor, Tensor]:
        """Features ``(B, F)`` for the actor and for the critic."""
        features = self.extract_features(obs)
        return features if isinstance(features, tuple) else (features, features)

    def _timed_features(self, obs: Observation, shape: torch.Size) -> tuple[Tensor, Tensor]:
        """Features ``(T, B, F)`` of observations ``(T, B, ...)``."""
        actor, critic = self._features(map_observation(lambda o: o.flatten(0, 1), obs))
        return actor.unflatten(0, shape), critic.unflatten(0, shape)

    def _log_probs(self, memory_output: Tensor) -> Tensor:
        """Log-probabilities ``(B, n)`` of n discrete actions: SB3's distribution in a third of the operations."""
        return torch.log_softmax(self.action_net(self.mlp_extractor.forward_actor(memory_output)), dim=-1)

    def _distribution(self, memory_output: Tensor) -> Distribution:
        return self._get_action_dist_from_latent(self.mlp_extractor.forward_actor(memory_output))

    def _values(self, memory_output: Tensor) -> Tensor:
        return self.value_net(self.mlp_extractor.forward_critic(memory_output)).squeeze(-1)


def _advance(memory: Memory, features: Tensor, state: State, starts: Tensor) -> tuple[Tensor, State]:
    """One step of every row, as a sequence of length one: the scan knows starts, and has native forms."""
    outputs, state = memory.scan(features.unsqueeze(0), state, starts.unsqueeze(0))
    return outputs.squeeze(0), state


class MemoryActorCriticCnnPolicy(MemoryActorCriticPolicy):
    """:class:`MemoryActorCriticPolicy` for image observations."""

    default_features_extractor = NatureCNN


class MemoryMultiInputActorCriticPolicy(MemoryActorCriticPolicy):
    """:class:`MemoryActorCriticPolicy` for Dict observations."""

    default_features_extractor = CombinedExtractor


# SB3 archives store a policy's class by module and name: these never move.


class MlpLarnnPolicy(MemoryActorCriticPolicy):
    """LARNN over vector observations."""

    default_memory = "larnn"


class CnnLarnnPolicy(MemoryActorCriticCnnPolicy):
    """LARNN over image observations."""

    default_memory = "larnn"


class MultiInputLarnnPolicy(MemoryMultiInputActorCriticPolicy):
    """LARNN over Dict observations."""

    default_memory = "larnn"


class MlpAarenPolicy(MemoryActorCriticPolicy):
    """Aaren over vector observations."""

    default_memory = "aaren"


class CnnAarenPolicy(MemoryActorCriticCnnPolicy):
    """Aaren over image observations."""

    default_memory = "aaren"


class MultiInputAarenPolicy(MemoryMultiInputActorCriticPolicy):
    """Aaren over Dict observations."""

    default_memory = "aaren"


class MlpLstmPolicy(MemoryActorCriticPolicy):
    """LSTM over vector observations."""

    default_memory = "lstm"


class CnnLstmPolicy(MemoryActorCriticCnnPolicy):
    """LSTM over image observations."""

    default_memory = "lstm"


class MultiInputLstmPolicy(MemoryMultiInputActorCriticPolicy):
    """LSTM over Dict observations."""

    default_memory = "lstm"


class MlpGruPolicy(MemoryActorCriticPolicy):
    """GRU over vector observations."""

    default_memory = "gru"


class CnnGruPolicy(MemoryActorCriticCnnPolicy):
    """GRU over image observations."""

    default_memory = "gru"


class MultiInputGruPolicy(MemoryMultiInputActorCriticPolicy):
    """GRU over Dict observations."""

    default_memory = "gru"


#: Policies by the names that ``RecurrentPPO("...", env)`` takes.
POLICY_ALIASES: dict[str, type[MemoryActorCriticPolicy]] = {
    "MlpMemoryPolicy": MemoryActorCriticPolicy,
    "CnnMemoryPolicy": MemoryActorCriticCnnPolicy,
    "MultiInputMemoryPolicy": MemoryMultiInputActorCriticPolicy,
    **{
        policy.__name__: policy
        for policy in (
            MlpLarnnPolicy,
            CnnLarnnPolicy,
            MultiInputLarnnPolicy,
            MlpAarenPolicy,
            CnnAarenPolicy,
            MultiInputAarenPolicy,
            MlpLstmPolicy,
            CnnLstmPolicy,
            MultiInputLstmPolicy,
            MlpGruPolicy,
            CnnGruPolicy,
            MultiInputGruPolicy,
        )
    },
}

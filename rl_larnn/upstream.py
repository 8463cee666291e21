"""How a policy with a memory speaks to Stable-Baselines3 and to stock ``sb3_contrib.RecurrentPPO``.

They know one kind of state, an LSTM's: a pair of tensors. Theirs is made of ours by packing it into one row of numbers
and cutting the row in two halves.

Letters: T time, B batch rows, D width of a packed state.
"""

from __future__ import annotations

import warnings
from abc import abstractmethod
from typing import Literal, NamedTuple

import numpy as np
import torch
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
from sb3_contrib.common.recurrent.type_aliases import RNNStates
from stable_baselines3.common.distributions import Distribution
from torch import Tensor

from rl_larnn.observations import Observation, map_observation
from rl_larnn.state import State, pack, packed_width, unpack

CriticMemory = Literal["separate", "shared", "none"]


class PolicyState(NamedTuple):
    """What a policy remembers: one state of B rows for the actor and one for the critic."""

    actor: State
    critic: State  # without values of its own where the critic shares the actor's memory or has none


class ChunkEvaluation(NamedTuple):
    """What a policy says of whole chunks of time."""

    values: Tensor | None  # (T, B); None where they were not asked for
    log_prob: Tensor  # (T, B), of the actions
    entropy: Tensor | None  # (T, B); None where there is no closed form
    state: PolicyState  # after the last step


class LstmShape(NamedTuple):
    """What stock sb3-contrib asks ``policy.lstm_actor``, to know the shape of a state."""

    num_layers: int
    hidden_size: int


class UpstreamPolicy(RecurrentActorCriticPolicy):
    """What the libraries call (``forward``, ``predict``, ``evaluate_actions`` ...), put in terms of what a policy does.

    A subclass writes the methods at the top, and calls :meth:`_announce_state` before the libraries see it.
    """

    critic_mode: CriticMemory
    _stateless_calls = 0

    @abstractmethod
    def initial_state(self, batch_size: int) -> PolicyState:
        """The state of ``batch_size`` rows that have seen nothing."""

    @abstractmethod
    def act(
        self, obs: Observation, state: PolicyState, starts: Tensor, deterministic: bool = False
    ) -> tuple[Tensor, Tensor, Tensor, PolicyState]:
        """One step of every row: actions, values, log-probabilities, and the state after the step."""

    @abstractmethod
    def state_values(self, obs: Observation, state: PolicyState, starts: Tensor) -> Tensor:
        """Values ``(B,)`` of observations."""

    @abstractmethod
    def evaluate_chunks(
        self, obs: Observation, actions: Tensor, state: PolicyState, starts: Tensor, critic: bool = True
    ) -> ChunkEvaluation:
        """Evaluate the actions of whole chunks of time."""

    @abstractmethod
    def _remember(self, obs: Observation, actor: State, starts: Tensor) -> tuple[Tensor, State]:
        """What the actor's memory tells after one step, ``(B, O)``, and its state then."""

    @abstractmethod
    def _choose(self, memory_output: Tensor, deterministic: bool) -> tuple[Tensor, Tensor]:
        """Actions and their log-probabilities."""

    @abstractmethod
    def _distribution(self, memory_output: Tensor) -> Distribution:
        """The action distribution of each row."""

    def _announce_state(self, actor: State) -> None:
        """Tell what stock sb3-contrib asks for, and keep the form of the actor's state.

        :param actor: the initial state of one row
        """
        self._actor_like = actor
        half = max(1, (packed_width(actor) + 1) // 2)
        self.lstm_actor = LstmShape(num_layers=1, hidden_size=half)  # type: ignore[assignment]
        self.lstm_hidden_state_shape = (1, 1, half)

    def forward(  # type: ignore[override]
        self, obs: Observation, lstm_states: RNNStates, episode_starts: Tensor, deterministic: bool = False
    ) -> tuple[Tensor, Tensor, Tensor, RNNStates]:
        """See :meth:`sb3_contrib.common.recurrent.policies.RecurrentActorCriticPolicy.forward`."""
        state = self._from_upstream(lstm_states)
        actions, values, log_prob, state = self.act(obs, state, episode_starts > 0.5, deterministic)
        return actions, values.unsqueeze(-1), log_prob, self._to_upstream(state)

    def evaluate_actions(  # type: ignore[override]
        self, obs: Observation, actions: Tensor, lstm_states: RNNStates, episode_starts: Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """See sb3-contrib: the batch is a list of padded sequences, one after the other, each with its own state."""
        sequences = lstm_states.pi[0].shape[1]

        def by_time(flat: Tensor) -> Tensor:
            return flat.unflatten(0, (sequences, -1)).transpose(0, 1)

        def by_sequence(timed: Tensor) -> Tensor:
            return timed.transpose(0, 1).flatten()

        found = self.evaluate_chunks(
            map_observation(by_time, obs),
            by_time(actions),
            self._from_upstream(lstm_states),
            by_time(episode_starts) > 0.5,
        )
        assert found.values is not None
        entropy = None if found.entropy is None else by_sequence(found.entropy)
        return by_sequence(found.values).unsqueeze(-1), by_sequence(found.log_prob), entropy

    def get_distribution(  # type: ignore[override]
        self, obs: Observation, lstm_states: tuple[Tensor, ...], episode_starts: Tensor
    ) -> tuple[Distribution, tuple[Tensor, ...]]:
        """The action distribution of each row, and the actor's state after the step."""
        state = _join(lstm_states, self._actor_like)
        memory_output, state = self._remember(obs, state, episode_starts > 0.5)
        return self._distribution(memory_output), self._split(state)

    def _predict(  # type: ignore[override]
        self,
        observation: Observation,
        lstm_states: tuple[Tensor, ...],
        episode_starts: Tensor,
        deterministic: bool = False,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The same actions as from :meth:`get_distribution`, without making a distribution."""
        state = _join(lstm_states, self._actor_like)
        memory_output, state = self._remember(observation, state, episode_starts > 0.5)
        return self._choose(memory_output, deterministic)[0], self._split(state)

    def set_training_mode(self, mode: bool) -> None:
        """See SB3, which goes through all modules at every single prediction, though the mode hardly ever changes."""
        if mode != self.training:
            super().set_training_mode(mode)

    @property
    def device(self) -> torch.device:
        """See SB3, which looks for a parameter among all modules, eight times for every prediction."""
        head = self._modules.get("action_net")  # None while the policy is being made
        return super().device if head is None else next(head.parameters()).device

    def predict_values(  # type: ignore[override]
        self, obs: Observation, lstm_states: tuple[Tensor, ...], episode_starts: Tensor
    ) -> Tensor:
        """Values ``(B, 1)``, given the critic's states (the second half of an ``RNNStates``)."""
        state = self._from_upstream(RNNStates(lstm_states, lstm_states))
        return self.state_values(obs, state, episode_starts > 0.5).unsqueeze(-1)

    def predict(
        self,
        observation: np.ndarray | dict[str, np.ndarray],
        state: tuple[np.ndarray, ...] | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...] | None]:
        """Actions for observations, and the memory to hand back at the next call.

        :param observation: one observation or a batch of B
        :param state: what the last call returned; None at the first
        :param episode_start: ``(B,)``, true where an observation opens a new episode
        :param deterministic: take the likeliest action
        """
        self._stateless_calls = self._stateless_calls + 1 if state is None and episode_start is None else 0
        if self._stateless_calls == 2:
            warnings.warn(
                "predict() was called twice without state and episode_start, so the memory is empty at every step; "
                "pass both: action, state = model.predict(obs, state=state, episode_start=starts)",
                stacklevel=2,
            )
        return super().predict(observation, state, episode_start, deterministic)

    def _split(self, state: State) -> tuple[Tensor, Tensor]:
        """A state as upstream carries it: the packed state's halves, each ``(1, B, ceil(D / 2))``."""
        packed = pack(state)
        padded = torch.nn.functional.pad(packed, (0, 2 * self.lstm_actor.hidden_size - packed.shape[1]))
        first, second = padded.unsqueeze(0).chunk(2, dim=2)
        return first.contiguous(), second.contiguous()

    def _to_upstream(self, state: PolicyState) -> RNNStates:
        actor = self._split(state.actor)
        # Upstream keeps a critic's state of the actor's shape in any case; without its own, it repeats the actor's.
        return RNNStates(actor, self._split(state.critic) if self.critic_mode == "separate" else actor)

    def _from_upstream(self, states: RNNStates) -> PolicyState:
        actor = _join(states.pi, self._actor_like)
        if self.critic_mode == "separate":
            return PolicyState(actor, _join(states.vf, self._actor_like))
        return PolicyState(actor, self.initial_state(states.pi[0].shape[1]).critic)


def _join(halves: tuple[Tensor, ...], like: State) -> State:
    """Undo ``UpstreamPolicy._split``."""
    return unpack(torch.cat([halves[0][0], halves[1][0]], dim=1)[:, : packed_width(like)], like)

"""The rollout buffer of a memory agent: whole chunks of time, no padding, no masks.

Letters: N steps per rollout, E environments, L = seq_len steps per chunk, B chunks in a minibatch.

A rollout of N steps in E environments is cut into N / L * E chunks, each contiguous steps of one environment with
episode starts wherever they fall. Of the memory's states, only those at the first step of each chunk are kept.
Everything lives in torch tensors on the training device.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from rl_larnn.observations import Observation, map_observation
from rl_larnn.state import map_state, rows
from rl_larnn.upstream import PolicyState


class Chunks(NamedTuple):
    """A minibatch: B chunks of L steps, time first."""

    observations: Observation  # (L, B, ...), or such a tensor per key
    actions: Tensor  # (L, B, ...)
    starts: Tensor  # (L, B) bool
    state: PolicyState  # of B rows, before the first step
    old_values: Tensor  # (L, B)
    old_log_prob: Tensor  # (L, B)
    advantages: Tensor  # (L, B)
    returns: Tensor  # (L, B)
    numbers: Tensor  # (B,) which chunks of the rollout these are: columns of :meth:`ChunkBuffer.by_chunk`


class ChunkBuffer:
    """Collects one rollout and hands it out in chunks.

    :param n_steps: N, a multiple of ``seq_len``
    :param observation_space: Box, Discrete, MultiDiscrete, MultiBinary or a Dict of these
    :param action_space: Box, Discrete, MultiDiscrete or MultiBinary
    :param seq_len: L
    :param n_envs: E
    :param gamma: discount per step
    :param gae_lambda: the lambda of generalised advantage estimation
    """

    def __init__(
        self,
        n_steps: int,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        seq_len: int,
        device: torch.device | str,
        n_envs: int = 1,
        gamma: float = 0.99,
        gae_lambda: float = 0.95,
    ) -> None:
        self.n_steps, self.n_envs, self.seq_len = n_steps, n_envs, seq_len
        self.gamma, self.gae_lambda = gamma, gae_lambda
        shape = (n_steps, n_envs)
        self.observations: Observation
        if isinstance(observation_space, spaces.Dict):
            self.observations = {key: _storage(shape, space, device) for key, space in observation_space.items()}
        else:
            self.observations = _storage(shape, observation_space, device)
        whole = isinstance(action_space, spaces.Discrete | spaces.MultiDiscrete)
        self.actions = torch.zeros(
            (*shape, *(action_space.shape or ())), dtype=torch.long if whole else torch.float32, device=device
        )
        self.starts = torch.zeros(shape, dtype=torch.bool, device=device)
        self.rewards = torch.zeros(shape, device=device)
        self._step_values = torch.zeros((4, *shape), device=device)  # one tensor, so that a minibatch is one gather
        self.values, self.log_probs, self.advantages, self.returns = self._step_values.unbind()
        self.reset()

    def reset(self) -> None:
        """Forget the rollout."""
        self.position = 0
        self.states: list[PolicyState] = []

    def add(
        self,
        obs: Observation,
        actions: Tensor,
        rewards: np.ndarray,
        starts: Tensor,
        values: Tensor,
        log_probs: Tensor,
        state: PolicyState,
    ) -> None:
        """Store one step of E environments.

        :param state: the memory before the step; kept only where a chunk begins
        """
        step = self.position
        if step % self.seq_len == 0:
            self.states.append(state)
        if step == 0:
            self.observations = map_observation(_as_precise, self.observations, obs)
        map_observation(lambda stored, new: stored[step].copy_(new), self.observations, obs)
        self.actions[step] = actions
        self.rewards[step] = torch.as_tensor(rewards)
        self.starts[step] = starts
        self.values[step] = values
        self.log_probs[step] = log_probs
        self.position += 1

    def compute_returns_and_advantage(self, last_values: Tensor, dones: Tensor) -> None:
        """Generalised advantage estimation (Schulman et al., 2016, arXiv 1506.02438, equation 16).

        :param last_values: ``(E,)``, values of the observations after the rollout
        :param dones: ``(E,)`` bool, whether those observations open a new episode
        """
        # Row k: whether the episode goes on from step k to k + 1, and the value found there.
        goes_on = 1.0 - torch.cat([self.starts[1:], dones.unsqueeze(0)]).float()
        next_values = torch.cat([self.values[1:], last_values.unsqueeze(0)])
        errors = self.rewards + self.gamma * goes_on * next_values - self.values
        advantage = torch.zeros_like(last_values)
        for step in range(self.n_steps - 1, -1, -1):
            advantage = errors[step] + self.gamma * self.gae_lambda * goes_on[step] * advantage
            self.advantages[step] = advantage
        torch.add(self.advantages, self.values, out=self.returns)

    def get(self, batch_size: int) -> Iterator[Chunks]:
        """The rollout once, in random order, ``batch_size`` steps at a time (the last batch may be smaller).

        :param batch_size: a multiple of ``seq_len``
        """
        states = map_state(lambda *leaves: torch.cat(leaves), *self.states)
        observations = map_observation(self.by_chunk, self.observations)
        actions, starts = self.by_chunk(self.actions), self.by_chunk(self.starts)
        step_values = torch.stack([self.by_chunk(stored) for stored in self._step_values])
        order = torch.randperm(actions.shape[1], device=actions.device)
        for chosen in order.split(batch_size // self.seq_len):
            values, log_probs, advantages, returns = step_values.index_select(2, chosen).unbind()
            yield Chunks(
                map_observation(lambda stored, chosen=chosen: stored.index_select(1, chosen), observations),
                actions.index_select(1, chosen),
                starts.index_select(1, chosen),
                rows(states, chosen),
                values,
                log_probs,
                advantages,
                returns,
                chosen,
            )

    def time_chunks(self) -> Iterator[tuple[Observation, Tensor, Tensor]]:
        """The rollout in order, L steps of all E environments at a time: observations, actions, starts, (L, E, ...)."""
        for first in range(0, self.n_steps, self.seq_len):
            steps = slice(first, first + self.seq_len)
            observations = map_observation(lambda stored, steps=steps: stored[steps], self.observations)
            yield observations, self.actions[steps], self.starts[steps]

    def by_chunk(self, stored: Tensor) -> Tensor:
        """``(N, E, ...)`` to ``(L, N / L * E, ...)``: chunk k of environment e becomes column k E + e."""
        return stored.unflatten(0, (-1, self.seq_len)).transpose(0, 1).flatten(1, 2)


def _as_precise(stored: Tensor, new: Tensor) -> Tensor:
    """Room for floats where a normaliser has made floats of whole numbers, whatever the space says."""
    return stored.float() if new.is_floating_point() and not stored.is_floating_point() else stored


def _storage(shape: tuple[int, int], space: spaces.Space, device: torch.device | str) -> Tensor:
    """Zeros for one observation per step and environment: bytes stay bytes, doubles become floats."""
    dtype = torch.as_tensor(np.zeros(0, dtype=space.dtype)).dtype
    return torch.zeros(
        (*shape, *(space.shape or ())), dtype=torch.float32 if dtype == torch.float64 else dtype, device=device
    )

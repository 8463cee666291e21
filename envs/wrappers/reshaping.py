"""Wrappers that change the form of observations and actions, for environments that our agents cannot read."""

from collections.abc import Sequence
from typing import Any, SupportsFloat

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs

from rl_larnn.envs.spaces import as_float32
from rl_larnn.envs.wrappers.corruption import MaskObservation


class VectorObservation(gym.ObservationWrapper, RecordConstructorArgs):
    """Flattens any observation of fixed size into a float32 vector.

    Discrete and each number of a MultiDiscrete become one-hot, Box and MultiBinary are flattened in row order, the
    parts of Tuple and Dict are joined.

    :raises TypeError: the observation has no fixed size, such as Text or Sequence
    """

    def __init__(self, env: gym.Env):
        RecordConstructorArgs.__init__(self)
        gym.ObservationWrapper.__init__(self, env)
        space = env.observation_space
        if not space.is_np_flattenable:
            raise TypeError(f"VectorObservation expected observations of fixed size (Box, Discrete, ...), got {space}")
        flat = spaces.flatten_space(space)
        assert isinstance(flat, spaces.Box)
        self.observation_space = as_float32(flat)

    def observation(self, observation: Any) -> np.ndarray:
        return np.asarray(spaces.flatten(self.env.observation_space, observation), np.float32)


class HideInfo(gym.Wrapper, RecordConstructorArgs):
    """Empties the info dictionary, for environments that put the hidden state there."""

    def __init__(self, env: gym.Env):
        RecordConstructorArgs.__init__(self)
        gym.Wrapper.__init__(self, env)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        return self.env.reset(seed=seed, options=options)[0], {}

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        return *self.env.step(action)[:4], {}


class SelectActions(gym.ActionWrapper, RecordConstructorArgs):
    """Keeps only some actions of a Discrete space: action i becomes ``actions[i]``.

    :raises TypeError: the actions are not Discrete
    :raises ValueError: an action does not exist or is repeated, or none is left
    """

    def __init__(self, env: gym.Env, actions: Sequence[int]):
        RecordConstructorArgs.__init__(self, actions=actions)
        gym.ActionWrapper.__init__(self, env)
        space = env.action_space
        if not isinstance(space, spaces.Discrete):
            raise TypeError(f"SelectActions expected Discrete actions, got {space}")
        first, last = int(space.start), int(space.start + space.n - 1)
        if not actions or len(set(actions)) < len(actions) or any(not first <= a <= last for a in actions):
            raise ValueError(
                f"SelectActions expected different actions from {first} to {last}, at least one, got {tuple(actions)}"
            )
        self._actions = tuple(actions)
        self.action_space = spaces.Discrete(len(actions))

    def action(self, action: Any) -> int:
        return self._actions[int(action)]


class ObjectsInView(gym.ObservationWrapper, RecordConstructorArgs):
    """Reduces a MiniGrid observation to the kind of object in each cell of the view, one-hot.

    The mission text, the compass direction, colours and door states are left out. The vector holds the view column by
    column, from left to right, each column from far to near, ``len(kinds)`` numbers for a cell. The agent is in the
    middle of the near row.

    :param env: a MiniGrid environment, whose observation is a Dict with an "image" of shape (width, height, 3)
    :param kinds: the object numbers (MiniGrid's ``OBJECT_TO_IDX``) that can appear
    :raises TypeError: the observation has no such image
    :raises ValueError: at a step with an object of another kind
    """

    def __init__(self, env: gym.Env, kinds: Sequence[int]):
        RecordConstructorArgs.__init__(self, kinds=kinds)
        gym.ObservationWrapper.__init__(self, env)
        image = env.observation_space["image"] if isinstance(env.observation_space, spaces.Dict) else None
        if image is None or image.shape is None or len(image.shape) != 3:
            raise TypeError(f"ObjectsInView expected MiniGrid's Dict with an image, got {env.observation_space}")
        self._kinds = np.array(kinds)
        size = image.shape[0] * image.shape[1] * len(kinds)
        self.observation_space = spaces.Box(0.0, 1.0, (size,), np.float32)

    def observation(self, observation: Any) -> np.ndarray:
        one_hot = observation["image"][:, :, :1] == self._kinds
        if not one_hot.any(-1).all():
            seen = sorted({int(kind) for kind in observation["image"][:, :, 0].flat})
            raise ValueError(f"ObjectsInView expected the kinds {self._kinds.tolist()}, got {seen}")
        return one_hot.astype(np.float32).reshape(-1)


class StatePart(MaskObservation):
    """Shows only the positions or only the velocities of one of Gymnasium's MuJoCo environments (version 5).

    The environment's ``observation_structure`` tells which numbers these are: first generalised positions ("qpos", in
    m and rad), then velocities ("qvel", in m/s and rad/s), then contact forces and others.

    :raises TypeError: the environment has no ``observation_structure``
    :raises ValueError: it has no such part
    """

    def __init__(self, env: gym.Env, part: str):
        RecordConstructorArgs.__init__(self, part=part)  # the first call counts, not that of the parent
        structure = getattr(env.unwrapped, "observation_structure", None)
        if structure is None:
            raise TypeError(f"StatePart expected one of Gymnasium's MuJoCo environments (version 5), got {env}")
        # Parts in the order in which they are joined; what was left out of the observation is named "skipped_...".
        sizes = {name: int(size) for name, size in structure.items() if not name.startswith("skipped") and size}
        if part not in sizes:
            raise ValueError(f"StatePart expected one of {', '.join(sizes)}, got {part!r}")
        labels = [name for name, size in sizes.items() for _ in range(size)]
        super().__init__(env, hidden=[i for i, label in enumerate(labels) if label != part])

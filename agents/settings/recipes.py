"""Tuned settings per environment, as typed data. A new recipe is one entry of :data:`RECIPES`.

The first values are those of RL Baselines3 Zoo (``hyperparams/ppo_lstm.yml``, release 2.9.2) for the task with the
same base environment; its ``NoVel`` variant hides the same velocities.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from gymnasium import spaces

from rl_larnn.agents.algorithms import OURS, method_name
from rl_larnn.agents.settings.values import Linear
from rl_larnn.memories import DEFAULT_MEMORY


@dataclass(frozen=True)
class Recipe:
    """What to train, apart from the environment and the seed.

    :param n_timesteps: environment steps, over all environments together; 1e5 to 5e6 by the difficulty of the task
    :param n_envs: environments that run in parallel; 4 to 32: more give each update more varied data, in larger steps
    :param memory: the default memory, a name of ``rl_larnn.memories.MEMORIES``; None for an algorithm that takes none
    :param normalize_observations: by the running mean and standard deviation, for vectors of numbers; off where the
        observations are of size one already
    :param normalize_rewards: divide rewards by the running standard deviation of the discounted return
    :param previous_action: append the previous action to the observation
    :param first_step_flag: append 1 at the first step of an episode, else 0
    :param target_return: append the return-to-go to the observation: this target, less the rewards so far
    :param step_number: append the number of the step to the observation, at most this
    :param frame_stack: observations that the agent sees at once, concatenated, zeros before the first; 1, 4 or 16
    :param algorithm: a name of :data:`rl_larnn.agents.algorithms.ALGORITHMS`
    :param arguments: of the algorithm, which is given those that it takes (for ours see
        :class:`rl_larnn.agents.RecurrentPPO`); learning rate and clip ranges may be :class:`Linear`
    :param policy: arguments of the policy; ``activation_fn`` by name
    :param for_memory: for each memory, or algorithm that takes none: flat settings that override all the above
        (:mod:`rl_larnn.agents.settings.overrides`) and its own options; those under ``"all"`` go to each that has them
    """

    n_timesteps: int = 500_000
    n_envs: int = 8
    memory: str | None = DEFAULT_MEMORY
    normalize_observations: bool = True
    normalize_rewards: bool = True
    previous_action: bool = False
    first_step_flag: bool = False
    target_return: float | None = None
    step_number: int | None = None
    frame_stack: int = 1
    algorithm: str = OURS
    arguments: Mapping[str, Any] = field(default_factory=dict)
    policy: Mapping[str, Any] = field(default_factory=dict)
    for_memory: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def method(self) -> str:
        """The name that runs are compared by (:func:`rl_larnn.agents.algorithms.method_name`)."""
        return method_name(self.algorithm, self.memory)

    @property
    def memory_options(self) -> Mapping[str, Any]:
        """The options of the memory, after :func:`rl_larnn.agents.settings.overrides.apply_settings`."""
        return self.for_memory.get(self.memory or self.algorithm, {})

    @property
    def gamma(self) -> float:
        """The discount per step."""
        return self.arguments.get("gamma", 0.99)


# One hidden layer of 64 per head behind a memory of 64, ReLU units, with PyTorch's own initialisation.
_SMALL_POLICY = dict(
    activation_fn="relu", ortho_init=False, net_arch={"pi": [64], "vf": [64]}, critic_memory="separate"
)

# State-dependent exploration, its noise drawn anew every 4 steps.
_SDE = dict(use_sde=True, sde_sample_freq=4)

# Both go to zero over the training.
_FALLING = dict(learning_rate=Linear(1e-3), clip_range=Linear(0.2))

# With the Zoo's horizon of 50 steps, the deterministic policy may let a cart drift away within 200 steps. Once all
# episodes reach the time limit, advantages are noise of a hundredth of the returns, which must not be scaled up to size
# one. (During learning their deviation is 0.02 to 0.5; with a minimum of 0.1, some seeds of LARNN stopped halfway.)
# Among policies that all reach the time limit, the entropy bonus prefers those that stay far from falling.
_STEADY = dict(gamma=0.99, gae_lambda=0.9, min_advantage_std=0.03, ent_coef=0.01)

# For tasks of recall: rewards of size one, episodes of some ten to some hundred steps.
_RECALL = Recipe(
    n_envs=16,
    arguments=dict(n_steps=128, batch_size=512, n_epochs=8, gae_lambda=0.9, learning_rate=Linear(1e-3), ent_coef=0.01),
    for_memory={"all": {"hidden_size": 64}},
)

# A cue has to be remembered until the junction: chunks are so long that most contain both.
_CUE = replace(_RECALL, arguments={**_RECALL.arguments, "seq_len": 128, "gamma": 0.98})

# An answer decides the current reward only, so later rewards would be noise. The critic has to know whether the answer
# will be right, which is what the actor knows: they share one memory.
_ANSWER = replace(
    _RECALL, arguments={**_RECALL.arguments, "seq_len": 128, "gamma": 0.0}, policy={"critic_memory": "shared"}
)

# The same, where the answer depends on the order or the number of the observations.
_ORDER = replace(
    _ANSWER,
    # With an ent_coef of 0.01, the policy may become deterministic before the memory works. Without a target_kl it may
    # lose a task that it had solved; with one of 0.05 it learns a lag of 31 half as fast.
    arguments={**_ANSWER.arguments, "seq_len": 64, "ent_coef": 0.05, "target_kl": 0.15},
    for_memory={
        **_ANSWER.for_memory,
        # Without phases, Aaren's average hardly encodes order; one layer holds half of the last 31 steps.
        "aaren": dict(recency="gate", phases=True, clock=True, heads=4, layers=2),
    },
)

#: Recipes by full environment id.
RECIPES: dict[str, Recipe] = {
    "CartPole-POMDP-v0": Recipe(
        n_timesteps=100_000,
        n_envs=8,
        arguments=dict(n_steps=32, batch_size=256, n_epochs=20, seq_len=32, gamma=0.98, gae_lambda=0.8, **_FALLING),
        policy=_SMALL_POLICY,
        for_memory={
            "all": {"hidden_size": 64},
            "gru": _STEADY,
            "lstm": _STEADY,
            "larnn": dict(window=8, n_epochs=10, **_STEADY),
            # The previous action is a memory of one step: with it, an agent without memory reaches about 80.
            "aaren": dict(previous_action=True, first_step_flag=True, n_epochs=10, **_STEADY),
        },
    ),
    "Pendulum-POMDP-v0": Recipe(
        n_timesteps=100_000,
        n_envs=4,
        arguments=dict(
            n_steps=1024, batch_size=128, n_epochs=10, gamma=0.9, gae_lambda=0.95, learning_rate=1e-3, **_SDE
        ),
        policy=_SMALL_POLICY,
        for_memory={
            "all": {"hidden_size": 64},
            # Cosine and sine are of size one; a running scale would change while the pole learns to stand upright.
            "aaren": dict(n_steps=512, learning_rate=Linear(3e-4), normalize_observations=False),
            "gru": {"normalize_observations": False},
            # With unbounded cells, most of LARNN's agents never learned to swing up (docs/results/notebook.md).
            "larnn": {"bounded": True},
        },
    ),
    "MountainCar-POMDP-v0": Recipe(
        n_timesteps=1_000_000,
        n_envs=16,
        arguments=dict(n_steps=16, batch_size=128, n_epochs=4, gamma=0.99, gae_lambda=0.98),
    ),
    "MountainCarContinuous-POMDP-v0": Recipe(
        n_timesteps=300_000,
        n_envs=8,
        arguments=dict(n_steps=1024, batch_size=256, n_epochs=10, gamma=0.9999, gae_lambda=0.9, ent_coef=0.00429)
        | dict(learning_rate=7.77e-5, clip_range=0.1, vf_coef=0.19, max_grad_norm=5.0, use_sde=True, sde_sample_freq=8),
        policy={**_SMALL_POLICY, "activation_fn": "tanh", "log_std_init": 0.0},
        for_memory={"all": {"hidden_size": 32}, "larnn": {"bounded": True}},
    ),
    "Acrobot-POMDP-v0": Recipe(
        n_timesteps=1_000_000,
        n_envs=16,
        arguments=dict(n_steps=256, batch_size=128, n_epochs=4, gamma=0.99, gae_lambda=0.94),
    ),
    "LunarLander-POMDP-v0": Recipe(
        n_timesteps=5_000_000,
        n_envs=32,
        arguments=dict(n_steps=512, batch_size=128, n_epochs=4, gamma=0.999, gae_lambda=0.98, ent_coef=0.01),
        policy=_SMALL_POLICY,
        for_memory={"all": {"hidden_size": 64}},
    ),
    "TMazePassive-10-v0": replace(_CUE, n_timesteps=100_000),
    "TMazePassive-50-v0": replace(_CUE, n_timesteps=150_000),
    "TMazePassive-250-v0": replace(_CUE, n_timesteps=2_000_000),
    "TMazeActive-10-v0": replace(_CUE, n_timesteps=1_000_000),
    "TMazeActive-50-v0": replace(_CUE, n_timesteps=1_000_000),
    "MiniGridMemory-S7-v0": replace(_CUE, n_timesteps=150_000),
    "MiniGridMemory-S9-v0": replace(_CUE, n_timesteps=300_000),
    "MiniGridMemory-S11-v0": replace(_CUE, n_timesteps=3_000_000),
    "MiniGridMemory-S13-v0": replace(_CUE, n_timesteps=4_000_000),
    "RepeatFirstEasy-v0": replace(_ANSWER, n_timesteps=100_000),
    "RepeatFirstMedium-v0": replace(_ANSWER, n_timesteps=200_000),
    "RepeatFirstHard-v0": replace(_ANSWER, n_timesteps=200_000),
    "RepeatPreviousEasy-v0": replace(_ORDER, n_timesteps=100_000),
    "RepeatPreviousMedium-v0": replace(_ORDER, n_timesteps=1_000_000),
    "RepeatPreviousHard-v0": replace(_ORDER, n_timesteps=5_000_000),
    "Autoencode-8-v0": replace(_ORDER, n_timesteps=100_000),
    "Autoencode-13-v0": replace(_ORDER, n_timesteps=2_000_000),
    "Autoencode-26-v0": replace(_ORDER, n_timesteps=5_000_000),
    "AutoencodeEasy-v0": replace(_ORDER, n_timesteps=5_000_000),
    "CountRecallEasy-v0": replace(_ORDER, n_timesteps=1_000_000),
    "HigherLowerEasy-v0": replace(_ORDER, n_timesteps=1_000_000),
}
for _same in ("CartPole-Flicker-v0", "CartPole-StopAndResume-v0", "CartPole-MDP-v0"):
    RECIPES[_same] = RECIPES["CartPole-POMDP-v0"]
RECIPES["LunarLanderContinuous-POMDP-v0"] = RECIPES["LunarLander-POMDP-v0"]

#: For an environment without a recipe: conservative settings that learn slowly on many tasks.
DEFAULT_DISCRETE = Recipe(
    arguments=dict(n_steps=128, batch_size=256, n_epochs=10, learning_rate=Linear(3e-4), ent_coef=0.01)
)
DEFAULT_CONTINUOUS = Recipe(
    arguments=dict(n_steps=256, batch_size=256, n_epochs=10, learning_rate=Linear(3e-4)), policy={"ortho_init": False}
)


def recipe_for(env_id: str, action_space: spaces.Space) -> tuple[Recipe, str]:
    """The recipe of an environment, or the default for its action space.

    :param env_id: full id, such as ``CartPole-POMDP-v0``
    :return: the recipe and its name: the environment's id or ``default (discrete actions)``,
        ``default (continuous actions)``
    """
    if env_id in RECIPES:
        return RECIPES[env_id], env_id
    if isinstance(action_space, spaces.Box):
        return DEFAULT_CONTINUOUS, "default (continuous actions)"
    return DEFAULT_DISCRETE, "default (discrete actions)"

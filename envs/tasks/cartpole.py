"""CartPole with blank observations, with repeated old ones, and with everything visible as a control task."""

from dataclasses import replace

from rl_larnn.envs.bounds.sources import Known, RandomPlay, Search, SearchSettings
from rl_larnn.envs.task import Bound, Task
from rl_larnn.envs.wrappers import FlickerObservation, FreezeObservation, MaskObservation

_RANDOM = Bound(23.09, RandomPlay(), 0.61)
_ACTION = "0 or 1: push the cart to the left or right with 10 N for 0.02 s"
_REWARD = "1 for every step until the pole leaves ±12 degrees or the cart ±2.4 m"
_STATE = "cart position in m; cart velocity in m/s; pole angle in rad; pole angular velocity in rad/s"
_PREDICTABLE = Known(
    "1 for each step of a whole episode; the motion is deterministic, so an agent that has seen the state once and "
    "remembers its own actions knows all later states"
)

_SETTINGS = SearchSettings(restarts=1, generations=20, population=24, episodes=6, evaluation_episodes=200)
_LINEAR_SEARCH = Search(
    SearchSettings(restarts=1, generations=8, population=32, episodes=4, evaluation_episodes=50),
    ("linear-deterministic",),
)

_FLICKER = Task(
    id="CartPole-Flicker-v0",
    base="CartPole-v1",
    wrappers=(FlickerObservation.wrapper_spec(probability=0.5),),
    max_episode_steps=500,
    reward_threshold=400.0,
    random=_RANDOM,
    floor=Bound(197.98, Search(replace(_SETTINGS, spread=6.0), ("linear-unbiased",)), 9.33),
    ceiling=Bound(500.0, _PREDICTABLE),
    observation=_STATE,
    action=_ACTION,
    reward=_REWARD,
    note=(
        "Every observation is all zeros with probability 0.5, that of the reset too, independently of the others. The "
        "floor steers by what it sees and tosses a coin when it sees nothing."
    ),
)

_STOP_AND_RESUME = Task(
    id="CartPole-StopAndResume-v0",
    base="CartPole-v1",
    wrappers=(
        MaskObservation.wrapper_spec(hidden=(1, 3)),
        FreezeObservation.wrapper_spec(probability=0.05, shortest=10, longest=20),
    ),
    max_episode_steps=500,
    reward_threshold=400.0,
    random=_RANDOM,
    floor=Bound(32.99, Search(_SETTINGS, ("linear-stochastic",)), 1.13),
    ceiling=Bound(500.0, _PREDICTABLE),
    observation="cart position in m; pole angle in rad",
    action=_ACTION,
    reward=_REWARD,
    note=(
        "As CartPole-POMDP, and now and then the observation stops: with probability 0.05 at a step, for 10 to 20 "
        "steps of 0.02 s, in which the last one is repeated. About four of ten observations are old."
    ),
)

_FULL = Task(
    id="CartPole-MDP-v0",
    base="CartPole-v1",
    wrappers=(),
    max_episode_steps=500,
    reward_threshold=475.0,
    random=_RANDOM,
    floor=Bound(500.0, _LINEAR_SEARCH, 0.0),
    ceiling=Bound(500.0, Known("1 for each step of a whole episode")),
    observation=_STATE,
    action=_ACTION,
    reward=_REWARD,
    note="CartPole-v1 itself with everything visible: a control, on which a memory has nothing to gain.",
    needs_memory=False,
)

TASKS = (_FLICKER, _STOP_AND_RESUME, _FULL)

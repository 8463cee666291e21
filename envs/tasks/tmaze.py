"""T-Maze: a cue at one end of a corridor tells which way to turn at the other end, any number of steps later.

Source: the passive and active forms of Ni et al., When Do Transformers Shine in RL? Decoupling Memory from Credit
Assignment, NeurIPS 2023, which go back to Bakker, Reinforcement Learning with Long Short-Term Memory, 2001.
Written anew; length of an episode, observation, penalty and reward are as theirs.
"""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from rl_larnn.envs.bounds.sources import Calculated, Known
from rl_larnn.envs.task import Bound, Task

RIGHT, UP, LEFT, DOWN = range(4)
_MOVES = {RIGHT: (1, 0), UP: (0, 1), LEFT: (-1, 0), DOWN: (0, -1)}


class TMaze(gym.Env[np.ndarray, Any]):
    """A corridor that ends in a junction with an arm up and an arm down; the goal is in one of the arms.

    The cue is shown at the left end, on the first visit only. Passive form: the agent starts there. Active form: it
    starts one step to the right of it and has to go back first. The episode lasts exactly as long as the best agent
    needs: ``corridor`` + 1 steps, or ``corridor`` + 3 in the active form.

    Observation, float32 vector of 2: first 1 at the junction and in its arms, else 0; second the cue, 1 for up and -1
    for down, when it is shown, the arm in the same form at the junction end (0 at the junction itself), else 0.
    All cells of the corridor look the same. Action: 0 right, 1 up, 2 left, 3 down; a move into a wall does nothing.
    Reward: 1 at the last step for being in the arm with the goal; at every earlier step -1 / ``corridor`` if the agent
    is further to the left than one that does nothing but go right (in the active form: that turned back first).

    :param corridor: steps from the start to the junction; at least 1
    :param active: the cue is one step to the left of the start
    :param shortest: draw the length of the corridor anew for each episode, from this to ``corridor``, all equally
        likely; None: it is always ``corridor``
    :raises ValueError: the corridor is shorter than 1 or not a whole number, or shorter than ``shortest``
    """

    def __init__(self, corridor: int = 10, active: bool = False, shortest: int | None = None):
        if corridor != int(corridor) or corridor < 1:
            raise ValueError(f"TMaze expected a corridor of at least 1 whole step, got {corridor}")
        if shortest is not None and (shortest != int(shortest) or not 1 <= shortest <= corridor):
            raise ValueError(f"TMaze expected a shortest corridor from 1 to {corridor} whole steps, got {shortest}")
        self.start = 1 if active else 0
        self._lengths = None if shortest is None else (int(shortest), int(corridor))
        self._build(int(corridor))
        low, high = np.array([0, -1], np.float32), np.array([1, 1], np.float32)
        self.observation_space = spaces.Box(low, high, dtype=np.float32)
        self.action_space = spaces.Discrete(4)

    def _build(self, corridor: int) -> None:
        self.corridor = corridor
        self.junction = self.start + corridor
        self.episode_steps = corridor + 1 + 2 * self.start

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        if self._lengths is not None:
            self._build(int(self.np_random.integers(*self._lengths, endpoint=True)))
        self.goal = 1 if self.np_random.random() < 0.5 else -1
        self.x, self.y, self.steps, self._cue_shown = self.start, 0, 0, False
        return self._observe(), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.x, self.y = moved(self.x, self.y, int(action), self.junction)
        self.steps += 1
        done = self.steps >= self.episode_steps
        lags = self.x < self.steps - self.start
        reward = float(self.y == self.goal) if done else -float(lags) / self.corridor
        return self._observe(), reward, done, False, {}

    def _observe(self) -> np.ndarray:
        if self.x == self.junction:
            return np.array([1, self.y], np.float32)
        cue = self.goal if self.x == 0 and not self._cue_shown else 0
        self._cue_shown |= self.x == 0
        return np.array([0, cue], np.float32)


def moved(x: int, y: int, action: int, junction: int) -> tuple[int, int]:
    """Return the cell to which an action leads from (x, y): along the corridor (y = 0), or between the arms."""
    across, along = _MOVES[action]
    to_x, to_y = x + across, y + along
    in_corridor = to_y == 0 and 0 <= to_x <= junction
    in_arm = to_x == junction and abs(to_y) == 1
    return (to_x, to_y) if in_corridor or in_arm else (x, y)


def random_return(corridor: int, active: bool = False) -> float:
    """Return the exact mean return of uniformly random actions, from the distribution over the cells at each step."""
    maze = TMaze(corridor, active)
    # Corridor cells 0 .. junction (the junction last), then the two arms.
    share = np.zeros(maze.junction + 3)
    share[maze.start] = 1.0
    mean = 0.0
    for step in range(1, maze.episode_steps):
        share = _after_random_action(share)
        mean -= share[: min(step - maze.start, maze.junction)].sum() / corridor if step > maze.start else 0.0
    return float(mean + _after_random_action(share)[-2:].sum() / 2)


def _after_random_action(share: np.ndarray) -> np.ndarray:
    """Return the probabilities of the cells after one uniformly random action: a quarter for each direction."""
    after, corridor = np.zeros_like(share), share[:-2]
    after[1:-2] += corridor[:-1] / 4
    after[: len(corridor) - 1] += corridor[1:] / 4
    after[: len(corridor)] += corridor / 2
    after[0] += corridor[0] / 4  # the wall behind the cue
    after[-3] -= corridor[-1] / 4  # at the junction only the wall to the right is left: up and down lead into the arms
    after[-2:] += corridor[-1] / 4 + share[-2:] * 3 / 4
    after[-3] += share[-2:].sum() / 4
    return after


_RANDOM = {  # by the form, then by the length
    False: {10: -0.9667, 50: -0.9933, 250: -0.9987, 1000: -0.9997},
    True: {10: -0.9741, 50: -0.9948, 250: -0.999, 1000: -0.9997},
}


def _task(corridor: int, active: bool) -> Task:
    return Task(
        id=f"TMaze{'Active' if active else 'Passive'}-{corridor}-v0",
        base="rl_larnn.envs.tasks.tmaze:TMaze",
        kwargs={"corridor": corridor, "active": active},
        free=("corridor", "shortest"),
        wrappers=(),
        max_episode_steps=corridor + (3 if active else 1),
        reward_threshold=0.9,
        random=Bound(_RANDOM[active][corridor], Calculated(random_return, {"corridor": corridor, "active": active})),
        floor=Bound(
            0.5,
            Known(
                "to be in time at the junction leaves no step to spare for marking the cue in the position, and there "
                "both goals look alike: one of two is hit"
            ),
        ),
        ceiling=Bound(1.0, Known("to the cue, right to the junction and into the right arm without a detour")),
        observation=(
            "1 at the junction and in its arms, else 0; the cue, 1 for up and -1 for down, on the first visit to the "
            "left end, the arm in the same form in the arms, else 0 (no unit)"
        ),
        action="0 right, 1 up, 2 left, 3 down, by one cell; against a wall nothing moves",
        reward=(
            "1 at the last step in the arm with the goal; at the steps before, -1 / corridor while further to the "
            "left than the best agent is by then at least"
        ),
        note=(
            "After Ni et al. 2023. The cue is "
            + ("one step to the left of the start" if active else "at the start")
            + ", and the episode just long enough for the best agent. Floor and ceiling hold for every corridor "
            "(--env-kwargs corridor=N) and for lengths that are drawn (shortest=M), the random score for this one."
        ),
    )


TASKS = tuple(_task(corridor, active) for active in (False, True) for corridor in (10, 50, 250, 1000))

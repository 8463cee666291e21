"""Whether an environment needs memory, how much is left, and what the baselines see."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from rl_larnn.agents.certificate.certificate import Interval, References, quantile
from rl_larnn.agents.certificate.memory_need import Method, environment_verdict, find_gain, find_references
from rl_larnn.agents.certificate.policies import FlatFrames, Frames, flatten
from rl_larnn.envs import FirstStepFlag, MaskObservation, PreviousAction
from rl_larnn.envs.bounds.sources import Known
from rl_larnn.envs.task import Bound
from rl_larnn.errors import UserError
from tests.certificate_cases import Echo, side_by_side

# ---------------------------------------------------------------------- whether an environment needs memory


def around(mean: float, spread: float = 2.0) -> np.ndarray:
    return mean + spread * np.linspace(-1, 1, 32)


def test_when_an_environment_needs_memory() -> None:
    random = around(0)
    for with_memory, without, control, ceiling, verdict in (
        (90, 20, 90, 100, "needs memory"),
        (90, 20, 90, None, "needs memory"),
        (90, 20, 20, None, "cannot tell"),  # imitation fails even with memory
        (90, 20, None, None, "cannot tell"),  # no control
        (24, 20, 24, 100, "needs memory"),
        (20, 20, None, 100, "cannot tell"),  # undertrained: both far below what is possible
        (20, 20, None, None, "cannot tell"),
        (10, 50, None, None, "cannot tell"),
        (97, 96, None, 100, "does not need memory"),
        (10, 96, None, 100, "does not need memory"),
        (100, 96, 100, 100, "does not need memory"),  # what memory adds is under a tenth
        (100, 88, 100, 100, "needs memory"),
        (None, 50, None, 100, "cannot tell"),
    ):
        case = (with_memory, without, control, ceiling)
        methods = [Method("random actions", False, 0.0, random), Method("without", False, without, around(without))]
        if with_memory is not None:
            methods.append(Method("with", True, with_memory, around(with_memory)))
        if control is not None:
            methods.append(Method("control", True, control, around(control, 1.5), control=True))
        known = References("toy", ceiling=None if ceiling is None else Bound(ceiling, Known("by construction")))
        found = environment_verdict(methods, random, known)
        assert found.verdict == verdict and found.best_without == "without", case
        solved = environment_verdict(methods, random, References("toy", threshold=without - 3))
        assert solved.verdict == "does not need memory" and "solved from" in solved.reason, case
        if ceiling is not None:  # beside it a threshold, which may be half way there, says nothing
            assert environment_verdict(methods, random, replace(known, threshold=without - 3)) == found, case


def test_the_floor_of_the_table_is_one_more_method_without_memory() -> None:
    known = References("x", ceiling=Bound(100, Known("table")))
    for without, with_memory, floor, error, verdict in (
        (20, 60, 30, 1, "needs memory"),
        (20, 60, 59, 5, "cannot tell"),
        (20, 60, 97, 0.5, "does not need memory"),
        (20, 60, 95, 5, "cannot tell"),
        # A lead on the table has to be as large as any other.
        (50, 92, 70, 0.1, "needs memory"),
        (50, 92, 85, 0.1, "cannot tell"),
    ):
        methods = [Method("weak", False, without, around(without))]
        methods += [Method("with", True, with_memory, around(with_memory), control) for control in (False, True)]
        found = environment_verdict(methods, around(0), replace(known, floor=Bound(floor, Known("table"), error)))
        assert found.verdict == verdict, (floor, error)
        assert "table" in found.reason or verdict == "needs memory"


def test_the_best_is_selected_on_other_episodes_than_those_of_the_scores() -> None:
    lucky = Method("lucky", False, 50.0, around(10))
    steady = Method("steady", False, 20.0, around(20))
    others = [Method("with", True, 30.0, around(30)), Method("control", True, 99.0, around(30), control=True)]
    found = environment_verdict([lucky, steady, *others], around(0), References("x"))
    assert (
        found.best_without == "lucky"
        and found.best_with == "with"
        and found.gap is not None
        and found.gap.mean == pytest.approx(20)
    )


def test_bounds_are_found_and_the_given_ceiling_goes_first() -> None:
    def known(env_id: str, ceiling: float | None = None) -> References:
        env = side_by_side(lambda: gym.make(env_id), 1)
        return find_references(env, ceiling=ceiling)

    masked, whole = known("CartPole-POMDP-v0"), known("CartPole-v1")
    assert masked.floor is not None and masked.ceiling is not None and masked.ceiling.value == 500
    # The table's ceiling is that of the base; its floor is not.
    assert whole.floor is None and whole.ceiling is not None and whole.ceiling.value == 500 and whole.threshold == 475
    given = known("CartPole-v1", 0.0).ceiling
    assert given is not None and given.value == 0 and str(given.source).endswith("given by the caller")
    assert find_references(side_by_side(Echo, 1)) == References("Echo")


def test_bounds_are_of_the_environment_as_it_is_here() -> None:
    def known(make_env: Callable[[], gym.Env]) -> References:
        return find_references(side_by_side(make_env, 1))

    cued = known(lambda: FirstStepFlag(PreviousAction(gym.make("CartPole-POMDP-v0"))))
    assert cued.env_id == "CartPole-POMDP-v0 (shown its previous action, a flag at the first step)"
    assert cued.floor is not None and cued.ceiling is not None
    # Of a task with less to see, the table's floor is too high.
    masked = known(lambda: MaskObservation(gym.make("CartPole-MDP-v0"), hidden=(1, 3)))
    assert masked.floor is None and masked.ceiling is not None
    # With other arguments it is another task, but where they make no difference.
    other = known(lambda: gym.make("CartPole-v1", sutton_barto_reward=True))
    assert (other.floor, other.ceiling, other.threshold) == (None, None, None)
    longer = known(lambda: gym.make("TMazePassive-10-v0", corridor=77, shortest=5))
    assert longer.floor is not None and longer.floor.value == 0.5
    assert known(lambda: gym.make("TMazePassive-10-v0", corridor=7, active=True)).floor is None
    shorter = known(lambda: gym.make("CartPole-v1", max_episode_steps=50))
    assert (shorter.ceiling, shorter.threshold) == (None, None)


def test_gain_by_hand() -> None:
    found = environment_verdict([Method("floor", False, 0, around(20, 0))], around(0), References("x"))
    score = Interval.of(around(80))
    known = References("x", floor=Bound(10, Known("table"), 1.0), ceiling=Bound(100, Known("table")))
    gain = find_gain(found, score, known)
    assert gain.floor == 20 and gain.gain is not None and gain.gain.mean == pytest.approx(0.75)
    assert gain.gain.high - 0.75 == pytest.approx((score.high - 80) / 80)
    tabled = find_gain(found, score, replace(known, floor=Bound(40, Known("table"), 3.0)))
    assert tabled.gain is not None and tabled.gain.mean == pytest.approx(2 / 3)
    error = np.hypot(score.standard_error, 3.0 / 3) / 60
    assert tabled.gain.high - 2 / 3 == pytest.approx(quantile(31) * error)
    assert find_gain(found, score, References("x")).gain is None
    assert find_gain(found, score, replace(known, ceiling=Bound(20, Known("table")))).gain is None


# ---------------------------------------------------------------------- what baselines see


def test_observations_of_any_kind_become_vectors() -> None:
    parts = {
        "number": spaces.Discrete(3, start=1),
        "pair": spaces.MultiDiscrete([2, 3]),
        "picture": spaces.Box(0, 255, (1, 2, 1), np.uint8),
    }
    observation = {
        "number": np.array([3]),
        "pair": np.array([[1, 0]]),
        "picture": np.array([[[[0], [51]]]], np.uint8),
    }
    assert flatten(spaces.Dict(parts), observation).tolist() == [
        [0, 0, 1, 0, 1, 1, 0, 0, 0, pytest.approx(0.2)],
    ]
    with pytest.raises(UserError, match="expected observations of Box"):
        flatten(spaces.Text(3), "abc")


def test_frames_forget_at_a_start_and_the_last_of_an_episode_is_its_own() -> None:
    frames = Frames(spaces.Box(-1, 1, (1,), np.float32), 3)
    shown = None
    for value, start in ((1, True), (2, False), (3, False), (4, False), (5, True)):
        shown = frames.advance(shown, np.array([[value]]), np.array([start]))
        if value == 4:
            assert shown.tolist() == [[2, 3, 4]]
    assert shown is not None and shown.tolist() == [[0, 0, 5]]
    env = FlatFrames(side_by_side(lambda: Echo(0, 3), 1), frames)
    seen = [env.reset()]
    for _ in range(3):
        observation, _, dones, infos = env.step(np.zeros(1, int))
        seen.append(observation)
    last = infos[0]["terminal_observation"]
    assert dones[0] and np.array_equal(last[:2], seen[2][0, 1:]) and last[2] != 0
    assert seen[3][0, :2].tolist() == [0, 0] and seen[3][0, 2] != 0

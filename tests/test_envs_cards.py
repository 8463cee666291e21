"""popgym's card tasks: perfect players reach the ceilings, tables of answers the floors, and nothing more is shown."""

from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rl_larnn.envs import TASKS, PreviousAction, make
from rl_larnn.envs.bounds import card_games
from rl_larnn.envs.bounds.rollouts import Score
from rl_larnn.envs.tasks import cards

pytest.importorskip("popgym")

Player = Callable[[list[np.ndarray]], int]
"""From all observations of an episode so far to an action."""


def play(env_id: str, player: Player, episodes: int, seed: int = 0) -> Score:
    env, returns = make(env_id), []
    for episode in range(episodes):
        seen, total, done = [env.reset(seed=seed + episode)[0]], 0.0, False
        while not done:
            observation, reward, terminated, truncated, _ = env.step(player(seen))
            seen.append(observation)
            total, done = total + float(reward), terminated or truncated
        returns.append(total)
    return Score.of(np.array(returns))


def suit(observation: np.ndarray) -> int:
    return int(observation[-5:-1].argmax())


def recite(seen: list[np.ndarray]) -> int:
    """Autoencode: the cards that were watched, from the last one back."""
    shown = [o for o in seen if o[1] == 1]
    if len(shown) == len(seen):
        return 0
    dealt = [suit(o) for o in seen[: len(shown) + 1]]  # the last card comes with the first question
    return dealt[len(dealt) - (len(seen) - len(shown))]


def count(seen: list[np.ndarray]) -> int:
    """CountRecall: cards so far of the colour asked for."""
    asked = seen[-1][2:4].argmax()
    return sum(o[:2].argmax() == asked for o in seen)


PERFECT: dict[str, tuple[Player, int]] = {
    **{f"RepeatFirst{level}-v0": ((lambda seen: suit(seen[0])), 2) for level in ("Easy", "Medium", "Hard")},
    "RepeatPreviousEasy-v0": ((lambda seen: suit(seen[max(len(seen) - 4, 0)])), 3),
    "RepeatPreviousMedium-v0": ((lambda seen: suit(seen[max(len(seen) - 32, 0)])), 3),
    "RepeatPreviousHard-v0": ((lambda seen: suit(seen[max(len(seen) - 64, 0)])), 3),
    **{f"Autoencode-{n}-v0": (recite, 5) for n in (8, 13, 26)},
    "AutoencodeEasy-v0": (recite, 3),
    "CountRecallEasy-v0": (count, 3),
}


@pytest.mark.parametrize("env_id", PERFECT)
def test_a_perfect_memory_reaches_the_ceiling(env_id: str) -> None:
    player, episodes = PERFECT[env_id]
    score = play(env_id, player, episodes)
    assert score.mean == pytest.approx(TASKS[env_id].ceiling.value, abs=1e-9) and score.standard_error < 1e-9


@pytest.mark.parametrize(
    "env_id",
    ["RepeatFirstEasy-v0", "RepeatPreviousEasy-v0", "Autoencode-8-v0", "Autoencode-13-v0", "CountRecallEasy-v0"],
)
def test_the_best_table_of_answers_is_at_the_floor(env_id: str) -> None:
    """The most frequent right answer to each observation, learnt from some episodes and played on others."""
    perfect, learnt = PERFECT[env_id][0], defaultdict[bytes, Counter[int]](Counter)

    def watch(seen: list[np.ndarray]) -> int:
        answer = perfect(seen)
        # RepeatPrevious asks nothing before the fourth card; what is answered there must not be learnt from.
        if not (env_id.startswith("RepeatPrevious") and len(seen) < 4):
            learnt[seen[-1].tobytes()][answer] += 1
        return answer

    def table(seen: list[np.ndarray]) -> int:
        counter = learnt[seen[-1].tobytes()]
        return counter.most_common(1)[0][0] if counter else 0

    play(env_id, watch, 250)
    score = play(env_id, table, 200, seed=1000)
    assert abs(score.mean - TASKS[env_id].floor.value) < 4 * score.standard_error < 0.3


def test_higher_lower_with_and_without_counting() -> None:
    def higher(o: np.ndarray) -> int:
        return int(o[:13].argmax())

    def memoryless(seen: list[np.ndarray]) -> int:
        return 0 if higher(seen[-1]) <= 6 else 1

    def counting(seen: list[np.ndarray]) -> int:
        left = np.full(13, 4) - np.bincount([higher(o) for o in seen], minlength=13)
        rank = higher(seen[-1])
        return 0 if left[rank + 1 :].sum() >= left[:rank].sum() else 1

    for player, expected in (
        (memoryless, card_games.higher_lower_floor()),
        (counting, card_games.higher_lower_ceiling()),
    ):
        score = play("HigherLowerEasy-v0", player, 150)
        assert abs(score.mean - expected) < 4 * score.standard_error < 0.05


def test_with_the_previous_action_recall_needs_no_memory() -> None:
    """Why the card tasks come without it: name the first card, and from then on repeat yourself."""
    env = PreviousAction(make("RepeatFirstEasy"))
    observation, total, done = env.reset(seed=0)[0], 0.0, False
    while not done:
        cards_seen, first, previous = observation[:4], observation[4], observation[5:]
        observation, reward, done, _, _ = env.step(int((cards_seen if first else previous).argmax()))
        total += float(reward)
    assert total == pytest.approx(1.0)


@pytest.mark.parametrize("env_id", [task.id for task in cards.TASKS])
def test_only_the_present_card_and_the_flag_are_shown(env_id: str) -> None:
    """Every group of the one-hot observation names one thing, and the flag is up at the first step only."""
    groups = {"Repeat": [4], "Autoen": [2, 4], "CountR": [2, 2], "Higher": [13]}[env_id[:6]]
    env = make(env_id)
    env.action_space.seed(0)
    observation: Any = env.reset(seed=0)[0]
    for step in range(40):
        cards_seen, flag = observation[:-1], observation[-1]
        assert [part.sum() for part in np.split(cards_seen, np.cumsum(groups)[:-1])] == [1] * len(groups)
        assert set(cards_seen) <= {0.0, 1.0} and flag == (step == 0)
        observation, _, terminated, *_ = env.step(env.action_space.sample())
        if terminated:
            break


@pytest.mark.parametrize("size", [1, 53])
def test_decks_that_do_not_exist(size: int) -> None:
    with pytest.raises(ValueError, match=f"expected 2 to 52 cards, got {size}"):
        make("Autoencode-8", cards=size)


def test_any_short_deck_by_argument() -> None:
    score = play("Autoencode-8-v0", recite, 2)
    assert score.mean == pytest.approx(1.0)
    env = make("Autoencode-8", cards=5)
    env.reset(seed=0)
    rewards = [env.step(0)[1:3] for _ in range(9)]
    assert [done for _, done in rewards] == [False] * 8 + [True] and rewards[-1][0] in (0.2, -0.2)


def test_the_counts_are_told_nowhere() -> None:
    env = make("CountRecallEasy")
    assert env.reset(seed=0)[1] == {} and env.step(0)[4] == {}
    assert "counts" in env.unwrapped.step(0)[4]  # or the wrapper can go

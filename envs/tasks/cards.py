"""Card games of popgym, played with its own classes.

The cards are one-hot, with a flag on the first step. The previous action is not shown. It changes nothing in these
games, but a memoryless agent could use it as a memory: in RepeatFirst it would name the first card, then repeat its own
previous action, and score 1.

Source: Morad et al., POPGym: Benchmarking Partially Observable Reinforcement Learning, ICLR 2023.
"""

from collections.abc import Mapping
from typing import Any

from rl_larnn.envs.bounds import card_games
from rl_larnn.envs.bounds.sources import Calculated, Known
from rl_larnn.envs.task import Bound, Task
from rl_larnn.envs.wrappers import FirstStepFlag, HideInfo, VectorObservation

_CUES = (VectorObservation.wrapper_spec(), FirstStepFlag.wrapper_spec())
_PERFECT = Bound(1.0, Known("every answer is right"))
_SUITS = "suit of the card on view, one-hot: spade; diamond; club; heart"
_FLAG = "1 at the first step, else 0"
_GUESS = Bound(-0.5, Calculated(card_games.uniform_guess, {"answers": 4}))


def _game(id: str, path: str, **row: Any) -> Task:
    defaults: dict[str, Any] = {
        "wrappers": _CUES,
        "reward_threshold": 0.9,
        "random": _GUESS,
        "ceiling": _PERFECT,
        "extra": "envs",
    }
    return Task(id=id, base=path, **{**defaults, **row})


def _repeat_first(level: str, decks: int, floor: float) -> Task:
    steps = 52 * decks - 1
    return _game(
        f"RepeatFirst{level}-v0",
        f"popgym.envs.repeat_first:RepeatFirst{level}",
        max_episode_steps=steps,
        floor=Bound(floor, Calculated(card_games.repeat_first_floor, {"decks": decks})),
        observation=f"{_SUITS}; {_FLAG}",
        action="0 to 3: the suit of the first card",
        reward=f"1/{steps} for the right suit, -1/{steps} for another, at every step",
    )


def _repeat_previous(level: str, decks: int, k: int, floor: float) -> Task:
    answers = 52 * decks - k
    return _game(
        f"RepeatPrevious{level}-v0",
        f"popgym.envs.repeat_previous:RepeatPrevious{level}",
        max_episode_steps=52 * decks - 1,
        floor=Bound(floor, Calculated(card_games.repeat_previous_floor, {"decks": decks})),
        observation=f"{_SUITS}; {_FLAG}",
        action=f"0 to 3: the suit of the card {k - 1} steps ago",
        reward=f"1/{answers} for the right suit, -1/{answers} for another, from step {k} on; 0 before",
    )


def _autoencode(name: str, cards: int, floor: float, path: str, kwargs: Mapping[str, int]) -> Task:
    return _game(
        f"{name}-v0",
        path,
        kwargs=kwargs,
        max_episode_steps=2 * cards - 1,
        floor=Bound(floor, Calculated(card_games.autoencode_floor, {"cards": cards})),
        observation=f"1 while reciting; 1 while watching; {_SUITS}; {_FLAG}",
        action="0 to 3: the suit, the last card first; without meaning while watching",
        reward=f"1/{cards} for the right suit, -1/{cards} for another, while reciting",
        note="The first card to recite, which is the last that was dealt, is still on view; after it suit 0 is shown.",
    )


def _short_autoencode(cards: int, floor: float) -> Task:
    path = "rl_larnn.envs.tasks.short_decks:ShortAutoencode"
    return _autoencode(f"Autoencode-{cards}", cards, floor, path, {"cards": cards})


_COUNT_RECALL = _game(
    "CountRecallEasy-v0",
    "popgym.envs.count_recall:CountRecallEasy",
    wrappers=(HideInfo.wrapper_spec(), *_CUES),  # popgym puts the counts into the info
    max_episode_steps=51,
    random=Bound(-0.9259, Calculated(card_games.uniform_guess, {"answers": 27})),
    floor=Bound(-0.8838, Calculated(card_games.count_recall_floor)),
    observation=f"colour of the card on view, one-hot: black; red; colour asked for, one-hot: black; red; {_FLAG}",
    action="0 to 26: how many cards of the colour asked for have been dealt so far, the one on view included",
    reward="1/51 for the right number, -1/51 for another, at every step",
    note="A policy that knows only the time, not the cards, gets about -0.4.",
)

_HIGHER_LOWER = _game(
    "HigherLowerEasy-v0",
    "popgym.envs.higher_lower:HigherLowerEasy",
    max_episode_steps=51,
    reward_threshold=0.49,
    random=Bound(0.0, Calculated(card_games.uniform_guess, {"answers": 2})),
    floor=Bound(0.497, Calculated(card_games.higher_lower_floor)),
    ceiling=Bound(0.5276, Calculated(card_games.higher_lower_ceiling)),
    observation=f"rank of the card on view, one-hot: {'; '.join('A 2 3 4 5 6 7 8 9 10 J Q K'.split())}; {_FLAG}",
    action="0 or 1: the next card is higher or lower",
    reward="1/52 for being right, -1/52 for being wrong, 0 for an equal rank, at every step",
    note="A control: perfect counting is worth 0.03. Tells whether a memory does harm where there is only noise.",
    needs_memory=False,
)

TASKS = (
    _repeat_first("Easy", 1, -0.461),
    _repeat_first("Medium", 8, -0.4952),
    _repeat_first("Hard", 16, -0.4976),
    _repeat_previous("Easy", 1, 4, -0.4902),
    _repeat_previous("Medium", 2, 32, -0.4951),
    _repeat_previous("Hard", 3, 64, -0.4968),
    _short_autoencode(8, -0.3125),
    _short_autoencode(13, -0.2781),
    _short_autoencode(26, -0.4053),
    _autoencode("AutoencodeEasy", 52, -0.4712, "popgym.envs.autoencode:AutoencodeEasy", {}),
    _COUNT_RECALL,
    _HIGHER_LOWER,
)

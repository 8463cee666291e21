"""Exact reference scores of the card tasks, by counting.

Cards are dealt without replacement from decks with equally many cards of each suit, unless a function says otherwise.
Actions change nothing but the reward, so the best memoryless policy gives the likeliest answer to each observation.
Scores are returns of an episode on popgym's scale: all answers weigh the same, right ones count plus, wrong ones minus,
and the best return is 1.
"""

from fractions import Fraction
from math import comb

SUITS, RANKS = 4, 13
DECK = SUITS * RANKS


def uniform_guess(answers: int) -> float:
    """Return the score of a uniformly random guess among ``answers`` answers."""
    return _score(Fraction(1, answers))


def repeat_first_floor(decks: int) -> float:
    """Return the floor of RepeatFirst with a first-step flag: the first answer is on view, the others are guesses.

    A later card is not the first one, so the best guess is any suit but the one on view.
    """
    cards = DECK * decks
    guess = Fraction(cards // SUITS, cards - 1)
    answers = cards - 1
    return _score((1 + (answers - 1) * guess) / answers)


def repeat_previous_floor(decks: int) -> float:
    """Return the floor of RepeatPrevious: the card on view is not the one to name, so any other suit is best."""
    cards = DECK * decks
    return _score(Fraction(cards // SUITS, cards - 1))


def autoencode_floor(cards: int) -> float:
    """Return the floor of Autoencode: the last card is on view when it has to be named, the others are guesses.

    From the second answer on, popgym shows suit 0. So the best answer to suit 0 on view is 0, which is right for the
    last card and is the most frequent suit; another suit on view is the last card, and its own answer.
    """
    most = -(-cards // SUITS)  # cards of suit 0: a short deck may have one more of it
    guessed = Fraction((cards - 1) * most, cards)
    return _score((1 + guessed) / cards)


def count_recall_floor(kinds: int = 2) -> float:
    """Return the floor of CountRecall, one deck, with a first-step flag.

    The agent sees a card and a kind, and has to tell how many cards of the kind were dealt. This tells a memoryless
    policy only whether the card is of that kind, so it has one fixed answer for each case. The first count is known.
    """
    each, answers = DECK // kinds, DECK - 1
    counts = range(each + 1)
    right = Fraction(1)
    for same, chance in ((1, Fraction(1, kinds)), (0, Fraction(kinds - 1, kinds))):
        # Probability of each count, summed over the steps, given that the card on view is of the kind or is not.
        likely = [
            sum(_hypergeometric(count - same, DECK - 1, each - same, dealt - 1) for dealt in range(2, answers + 1))
            for count in counts
        ]
        right += chance * max(likely)
    return _score(right / answers)


def higher_lower_floor() -> float:
    """Return the floor of HigherLower, one deck: guess the side with more of the thirteen ranks."""
    lead = sum(Fraction(abs((RANKS - 1 - rank) - rank), RANKS) for rank in range(RANKS)) * Fraction(SUITS, DECK - 1)
    return float(lead * (DECK - 1) / DECK)  # popgym divides by the cards, one more than there are guesses


def higher_lower_ceiling() -> float:
    """Return the ceiling of HigherLower, one deck, by perfect counting: guess the side with more remaining cards."""
    total = 0.0
    for rank in range(RANKS):
        higher, lower = SUITS * (RANKS - 1 - rank), SUITS * rank
        total += sum(_mean_lead(higher, lower, left) / left for left in range(1, DECK))
    return total / RANKS / DECK


def _mean_lead(higher: int, lower: int, left: int) -> float:
    """Mean lead, in cards, of the better side over the other one, when ``left`` of the other 51 cards are undealt."""
    equal = DECK - 1 - higher - lower
    ways = 0
    for up in range(min(higher, left) + 1):
        for down in range(max(0, left - up - equal), min(lower, left - up) + 1):
            ways += abs(up - down) * comb(higher, up) * comb(lower, down) * comb(equal, left - up - down)
    return ways / comb(DECK - 1, left)


def _hypergeometric(wanted: int, cards: int, of_kind: int, drawn: int) -> Fraction:
    """Probability of ``wanted`` cards of a kind among ``drawn``."""
    if not 0 <= wanted <= drawn:
        return Fraction(0)
    return Fraction(comb(of_kind, wanted) * comb(cards - of_kind, drawn - wanted), comb(cards, drawn))


def _score(share_right: Fraction) -> float:
    return float(2 * share_right - 1)

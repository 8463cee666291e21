"""Reference scores of the card tasks, from the rules of the games by counting.

A deck holds all four suits equally often unless said otherwise and is dealt without replacement, so what a card says
about another one is a ratio of whole numbers. In these games actions change nothing but the reward; the best memoryless
policy is therefore the likeliest answer to each observation, taken by itself. All are scores per episode on popgym's
scale: every answer is worth the same, right ones add it, wrong ones subtract it, and the best sum is 1.
"""

from fractions import Fraction
from math import comb

SUITS, RANKS = 4, 13
DECK = SUITS * RANKS


def uniform_guess(answers: int) -> float:
    """The score of guessing one of so many answers at random."""
    return _score(Fraction(1, answers))


def repeat_first_floor(decks: int) -> float:
    """RepeatFirst without memory, with a first-step flag: the first answer is on view, the others have to be guessed.

    A later card is one that the first was not, so the best guess is any suit but the one on view.
    """
    cards = DECK * decks
    guess = Fraction(cards // SUITS, cards - 1)
    answers = cards - 1
    return _score((1 + (answers - 1) * guess) / answers)


def repeat_previous_floor(decks: int) -> float:
    """RepeatPrevious without memory: the card on view is another one than that asked for, so any other suit is best."""
    cards = DECK * decks
    return _score(Fraction(cards // SUITS, cards - 1))


def autoencode_floor(cards: int) -> float:
    """Autoencode without memory: the last card is on view when it is asked for, all others have to be guessed.

    From the second answer on popgym shows suit 0. The last card, while asked for, is recognised by its suit unless that
    is 0 as well; so 0 counts as an answer to "0 on view", and otherwise the most frequent suit, which is 0 too.
    """
    most = -(-cards // SUITS)  # cards of suit 0, of which a short deck has one more if the suits don't come out even
    guessed = Fraction((cards - 1) * most, cards)
    return _score((1 + guessed) / cards)


def count_recall_floor(kinds: int = 2) -> float:
    """CountRecall without memory, one deck, with a first-step flag: one fixed answer each for "same" and "another".

    What is on view, a card and a question for the number of cards of one kind so far, says no more than whether the
    two are of the same kind. The first count is 1 or 0 for certain.
    """
    each, answers = DECK // kinds, DECK - 1
    counts = range(each + 1)
    right = Fraction(1)
    for same, chance in ((1, Fraction(1, kinds)), (0, Fraction(kinds - 1, kinds))):
        # Of the other cards dealt so far, how many are of the kind asked for, when one card is known.
        likely = [
            sum(_hypergeometric(count - same, DECK - 1, each - same, dealt - 1) for dealt in range(2, answers + 1))
            for count in counts
        ]
        right += chance * max(likely)
    return _score(right / answers)


def higher_lower_floor() -> float:
    """HigherLower, one deck, without memory: guess the side on which more of the thirteen ranks lie."""
    lead = sum(Fraction(abs((RANKS - 1 - rank) - rank), RANKS) for rank in range(RANKS)) * Fraction(SUITS, DECK - 1)
    return float(lead * (DECK - 1) / DECK)  # popgym divides by the cards, one more than there are guesses


def higher_lower_ceiling() -> float:
    """HigherLower, one deck, counting perfectly: guess the side on which more of the remaining cards lie."""
    total = 0.0
    for rank in range(RANKS):
        higher, lower = SUITS * (RANKS - 1 - rank), SUITS * rank
        total += sum(_mean_lead(higher, lower, left) / left for left in range(1, DECK))
    return total / RANKS / DECK


def _mean_lead(higher: int, lower: int, left: int) -> float:
    """Mean of how many more cards lie on the better side, when ``left`` of the other 51 cards are undealt."""
    equal = DECK - 1 - higher - lower
    ways = 0
    for up in range(min(higher, left) + 1):
        for down in range(max(0, left - up - equal), min(lower, left - up) + 1):
            ways += abs(up - down) * comb(higher, up) * comb(lower, down) * comb(equal, left - up - down)
    return ways / comb(DECK - 1, left)


def _hypergeometric(wanted: int, cards: int, of_kind: int, drawn: int) -> Fraction:
    """Chance of ``wanted`` cards of a kind among ``drawn``."""
    if not 0 <= wanted <= drawn:
        return Fraction(0)
    return Fraction(comb(of_kind, wanted) * comb(cards - of_kind, drawn - wanted), comb(cards, drawn))


def _score(share_right: Fraction) -> float:
    return float(2 * share_right - 1)

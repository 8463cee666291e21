"""popgym's Autoencode with fewer cards than a deck. Needs popgym, so it is imported only when one is made."""

import numpy as np
from gymnasium import spaces
from popgym.envs.autoencode import Autoencode


class ShortAutoencode(Autoencode):
    """popgym's Autoencode with the first ``cards`` cards of its deck, in which the suits take turns.

    :param cards: number of cards in the deck
    :raises ValueError: the deck does not have so many cards
    """

    def __init__(self, cards: int):
        super().__init__(num_decks=1)
        if not 2 <= cards <= self.deck.num_cards:
            raise ValueError(f"ShortAutoencode expected 2 to {self.deck.num_cards} cards, got {cards}")
        # popgym takes whole decks only; its deck deals the numbers below num_cards, after shuffling them at each reset.
        self.deck.num_cards = self.deck.deck_len = cards
        self.deck.idx = np.arange(cards)
        self.max_episode_length = 2 * cards - 1
        position = spaces.Box(0, 1, (1,))
        self.state_space = spaces.Tuple((spaces.MultiDiscrete([4] * cards), spaces.Discrete(2), position))

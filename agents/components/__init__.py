"""The parts that algorithms are made of."""

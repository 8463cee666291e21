"""The life of a run: start, resume, evaluate, select, finish."""

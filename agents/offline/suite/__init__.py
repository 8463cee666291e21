"""Offline learners compared: datasets x contenders x seeds as independent, resumable runs, and a page of scores."""

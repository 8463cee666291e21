"""The tasks, one file for each family, and our own environments.

A file with tasks has a tuple ``TASKS``; ``registry.py`` lists these files.
"""

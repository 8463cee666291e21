"""The files of a run: its folder, checkpoint, logs, results and provenance."""

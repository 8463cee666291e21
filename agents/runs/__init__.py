"""What a run leaves behind: its folder, checkpoint, state, logs, results and provenance."""

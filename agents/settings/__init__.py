"""What a run is told, and what is built from it: environments and models."""

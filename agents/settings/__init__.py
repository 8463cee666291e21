"""The settings of a run, and the environments and models that are built from them."""

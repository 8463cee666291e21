"""Parts of algorithms."""

"""Progress, messages, tables and the look of figures."""

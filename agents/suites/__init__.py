"""Many runs as one: a suite of tasks, for several memories and seeds, and the page of their results."""

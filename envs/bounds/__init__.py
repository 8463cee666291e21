"""Reference scores of the tasks: where they come from, and the searches and calculations that gave them."""

"""Reference scores of the tasks: random, floor and ceiling, and the searches and calculations that measure them."""

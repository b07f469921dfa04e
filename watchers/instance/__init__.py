"""One instance's way from one release to the next, and what is remembered of it."""

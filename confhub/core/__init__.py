"""No domain words: the clock, errors, wake by name, logs, request ids, system checks."""

"""`confhub run`: one process, started with its configuration and told of each new one."""

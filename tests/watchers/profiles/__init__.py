"""Each profile against the real program, in a container."""

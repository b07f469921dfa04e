"""Real parts for tests: servers on loopback ports of their own, which a test may kill or freeze."""

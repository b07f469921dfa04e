"""Ways to tell a workload that its files are other ones now."""

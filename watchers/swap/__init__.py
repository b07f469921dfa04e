"""A release's files in a workload's directory: written as one generation, swapped by one rename."""

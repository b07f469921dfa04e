"""What proves that a workload runs a release."""

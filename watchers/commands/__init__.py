"""What the `confhub` commands of the container side do, one module for each."""

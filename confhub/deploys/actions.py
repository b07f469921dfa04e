"""Make, change and remove deploy hooks."""

"""Make, change and remove webhooks."""

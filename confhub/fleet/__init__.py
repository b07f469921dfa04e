"""Instances and receipts - who runs what."""

"""Webhooks: what happened is told to other people's addresses, signed and in order."""

"""Drafts, frozen releases, diff and rollback."""

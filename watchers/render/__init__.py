"""A release as the bytes of files."""

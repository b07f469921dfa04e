"""A release as files, and what a template may and may not do."""

"""REST for machines, under /api/v1."""

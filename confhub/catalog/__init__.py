"""Services, environments and their scopes."""

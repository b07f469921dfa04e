"""The REST interface as programs meet it: over HTTP, with real rows."""

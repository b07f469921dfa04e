"""The one WebSocket of a tab."""

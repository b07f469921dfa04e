"""A program of its own that enters a container, or stays here, and runs one command within bounds.

`commands.py` beside this folder starts it. It uses the standard library alone, and imports all of it
before it enters anything: afterwards another root directory is in its place.
"""

"""Where workloads run: containers of an engine, or one process that we started."""

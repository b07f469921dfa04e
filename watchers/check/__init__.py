"""Whether a workload would take a release: asked before anything of it is swapped in."""

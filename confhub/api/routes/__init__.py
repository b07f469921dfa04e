"""One module for each resource. A route loads with access, calls one action or query, answers."""

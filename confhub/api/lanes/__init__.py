"""A lane beside Django for three calls that many programs make at once: `convergence`, `watch`, `config`.

A request that waits in Django's handler keeps a thread for as long as it waits. Here it is looked at
in a short hop, and then waits on the event loop with hundreds of others (docs/decisions/0025).

    front       which request goes where; what is not plainly one of the three goes to Django
    requests    the HTTP of one request: headers, Django's own middleware around an answer, disconnects
    hops        threads for short looks at rows
    board       the one place where all requests of a process wait
    looks       what the board asks of rows, for all of them together
    gates, streams, heads   convergence, watch, config
"""

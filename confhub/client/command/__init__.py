"""The `confhub` command, for people and pipelines: everything over REST, no Django.

`main.py` names the commands; each is imported when it is called, so that `confhub run` knows nothing
of HTTP and the others nothing of etcd (docs/decisions/0028-one-command-two-sides.md).
"""

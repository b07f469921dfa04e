"""The keys and documents in etcd, shared by the server and the container side (docs/protocols/etcd.md)."""

"""The container side, tested on real etcd, processes and containers."""

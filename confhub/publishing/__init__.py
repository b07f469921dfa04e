"""The way of a release into etcd."""

"""The server: services, drafts, releases, their way into etcd, and who runs what."""

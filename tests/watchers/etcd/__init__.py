"""watchers.etcd against real etcd servers, some of them broken on purpose."""

"""What etcd wants of the workloads here (scopes), and what is told back about them (statuses)."""

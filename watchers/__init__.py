"""What runs beside a workload: follows etcd, writes files, reloads the process, proves it. No Django."""

"""From a running process to Snapshots and Events: the counters page, BPF, recordings."""

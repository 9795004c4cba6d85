"""The kernel: the few modules that spawn tasks, own limits and processes, and drive the pure core."""

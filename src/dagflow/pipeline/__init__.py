"""Task pipelines: the front end that compiles tasks, composites and their parameters to programs of the kernel."""

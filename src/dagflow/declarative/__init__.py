"""YAML graphs: files of nodes, edges and prompts that compile to the same engine as typed graphs."""

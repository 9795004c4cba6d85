"""From a graph file to what the engine runs: names are looked up, expressions parsed, edges planned."""

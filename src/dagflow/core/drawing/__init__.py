"""Drawing graphs: pure functions from a shape to Mermaid, DOT and SVG text."""

"""The front end for typed graphs: nodes as classes, routes as return hints."""

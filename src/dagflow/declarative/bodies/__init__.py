"""What the nodes of a YAML graph do, one module for each kind of work."""

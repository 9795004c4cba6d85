"""The checks of all rules, one module for each group."""

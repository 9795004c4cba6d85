"""`dagflow runs ...`: recorded runs from the shell, to look at, answer, go on with, follow and clear away."""

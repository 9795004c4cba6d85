"""`python -m dagflow`: the command line."""

from dagflow.cli.__main__ import main

if __name__ == "__main__":
    main()

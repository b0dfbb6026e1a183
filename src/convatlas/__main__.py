"""`python -m convatlas`: the command line."""

from convatlas.cli import main

if __name__ == "__main__":
    main()

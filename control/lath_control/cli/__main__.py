"""`python -m lath_control.cli`: the command line, where the script `lath` is not on PATH."""

from lath_control.cli import main

if __name__ == "__main__":
    main()

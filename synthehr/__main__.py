"""Run the command line with `python -m synthehr`."""

from synthehr.cli import main

if __name__ == "__main__":
    main()

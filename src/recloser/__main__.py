"""`python -m recloser` is the `recloser` command."""

from recloser.cli import main

if __name__ == "__main__":
    main()

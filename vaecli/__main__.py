"""`python -m vaecli`."""

from vaecli.cli.app import main

if __name__ == "__main__":
    main()

"""`python -m vaecli`."""

from vaecli.cli.app import run

if __name__ == "__main__":
    run()

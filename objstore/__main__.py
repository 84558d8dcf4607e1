"""`python -m objstore`."""

from objstore.cli.app import main

if __name__ == "__main__":
    main()

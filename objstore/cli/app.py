"""The `objstore` command."""


def main() -> None:
    """Run the command line."""

"""What a person types: `python -m sscnb`."""

from sscnb.commands.cli import main

__all__ = ["main"]

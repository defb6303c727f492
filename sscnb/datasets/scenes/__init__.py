"""The embedded scenes."""

"""The one exception that is written for people."""


class UserError(Exception):
    """Something the user can mend: the message says what is wrong, where, what was expected and what to do.

    The command line prints it without a traceback and exits with status 2.
    """


def nearest(name: str, valid: list[str]) -> str:
    """Return a phrase that offers the valid names closest to a wrong one, or all of them when none is close."""
    import difflib

    close = difflib.get_close_matches(str(name), valid, n=3, cutoff=0.5)
    if close:
        return "did you mean " + " or ".join(repr(c) for c in close) + "?"
    return "valid are " + ", ".join(repr(v) for v in valid) + "."

"""What may be a name: one rule for ids, which become file names, and one for classes.

An id comes from a list that somebody else wrote, and is joined to a folder to read from and to write to. So it must be
one plain file name without its suffix: nothing in it may lead out of the folder.
"""

from sscnb.errors import UserError

LONGEST = 200  # bytes: file systems take 255, and suffixes and temporary names need room
# Windows takes these for devices, whatever suffix follows.
_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
# What annotation tools write for the pixels of no class, with underscores around it or without.
_NO_CLASS = ("background", "ignore", "unlabeled", "unlabelled")


def name_fault(name: str) -> str:
    """Return why a name cannot be an image's id, or nothing."""
    if not name:
        return "is empty"
    if "/" in name or "\\" in name:
        return "has a path in it; an id is the image's file name alone, without folder and suffix"
    if not name.isprintable():
        return "holds characters that cannot be printed"
    if name[0] in ".-" or name[-1] == "." or name != name.strip():
        return "begins with a dot, dash or space, or ends with a dot or space"
    if len(name.encode()) > LONGEST:
        return f"is longer than {LONGEST} bytes"
    if name.partition(".")[0].lower() in _DEVICES:
        return "is a device's name on Windows"
    return ""


def check_name(name: str, where: str) -> str:
    """Return a name that can be an image's id or a split's name.

    Args:
        where: what names it, such as "split a.txt, line 3".

    Raises:
        UserError: it cannot.
    """
    if fault := name_fault(name):
        shown = repr(name) if len(name) <= 80 else repr(name[:77] + "...")
        raise UserError(f"{where}: {shown} is no name of an image: it {fault}. Rename the image, or mend the list.")
    return name


def check_classes(names: list[str], where: str) -> tuple[str, ...]:
    """Return names that can be a data set's classes.

    Args:
        names: in order, that of index 1 first.
        where: the file that names them.

    Raises:
        UserError: too many or none, one is empty, there twice, not printable, or stands for the background.
    """
    for number, name in enumerate(names, start=1):
        if not name:
            raise UserError(
                f"{where}: line {number} is empty, though names follow. A class's line is its index in the masks: "
                "delete the empty line, or name the class."
            )
        if name.strip("_ ").lower() in _NO_CLASS:
            raise UserError(
                f"{where} lists {name!r} ({number} of {len(names)}), which is no class: in masks the background is 0, "
                "ignored pixels are 255, and the classes are 1, 2, ... in the order of their names. Take it out."
            )
        if name in names[: number - 1]:
            raise UserError(f"{where} names {name!r} twice ({names.index(name) + 1} and {number}). Take one out.")
        if not name.isprintable() or ";" in name or len(name.encode()) > LONGEST:
            raise UserError(
                f"{where}: {name[:80]!r} is no class's name: semicolons, characters that cannot be printed and more "
                f"than {LONGEST} bytes are not taken. Rename it, here and in the labels."
            )
    if not 1 <= len(names) <= 254:
        raise UserError(f"{where} must name 1 to 254 different classes; it has {len(names)} names.")
    return tuple(names)

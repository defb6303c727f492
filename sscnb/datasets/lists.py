"""The text files of a data set: split lists, `classes.txt`, `labels.csv`."""

import csv
from pathlib import Path

from sscnb.datasets.names import check_classes, check_name
from sscnb.errors import UserError, refusal


def read_lines(path: Path) -> list[str]:
    """Return the lines of a text file, stripped; a byte order mark, as Windows writes it, is no text.

    Raises:
        UserError: the file cannot be read, or is not UTF-8.
    """
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise UserError(f"{path} is no file; expected a text file. Move it away.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"cannot read {refusal(error, str(path))}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text ({error}). Save it in that encoding.") from error
    if "\0" in text:
        raise UserError(f"{path} is not UTF-8 text (it has null bytes, as UTF-16 does). Save it in that encoding.")
    return [line.strip() for line in text.splitlines()]


def read_ids(path: Path) -> list[str]:
    """Return the ids of a list, one a line, in its order; an id may have spaces in it.

    Raises:
        UserError: as `read_lines`; a line is no id; an id stands there twice.
    """
    ids: dict[str, int] = {}
    for number, line in enumerate(read_lines(path), start=1):
        if not line:
            continue
        if ids.setdefault(check_name(line, f"{path}, line {number}"), number) != number:
            raise UserError(f"{path} names {line!r} more than once (line {number}). Delete the repeated line.")
    return list(ids)


def read_classes(path: Path) -> tuple[str, ...]:
    """Return the classes that `classes.txt` names, one a line: line k is index k of the masks.

    Raises:
        UserError: as `read_lines` and `check_classes`.
    """
    lines = read_lines(path)
    while lines and not lines[-1]:
        lines.pop()
    return check_classes(lines, str(path))


def read_labels(path: Path) -> dict[str, tuple[str, ...]]:
    """Return the class names of each id of `labels.csv`, as they stand there.

    Raises:
        UserError: as `read_lines`; the first line, a row or an id is malformed, or an id has two rows.
    """
    try:
        rows = [row for row in csv.reader(line for line in read_lines(path) if line) if row]
    except csv.Error as error:  # a field of more than 128 kB: a quotation mark that is never closed
        raise UserError(f"{path} is no table: {error}. Look for a quotation mark that is not closed.") from error
    if not rows or [c.strip() for c in rows[0]] != ["id", "classes"]:
        raise UserError(
            f"{path} must begin with the line `id,classes`; then one row an image, such as `beach_01,boat;person`."
        )
    labels: dict[str, tuple[str, ...]] = {}
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != 2:
            shown = repr(",".join(row)[:80])
            raise UserError(f"{path}, row {number}: expected `id,class;class`, found {shown}.")
        image_id = check_name(row[0].strip(), f"{path}, row {number}")
        if image_id in labels:
            raise UserError(f"{path}, row {number}: id {image_id!r} has a row already.")
        labels[image_id] = tuple(dict.fromkeys(c.strip() for c in row[1].split(";") if c.strip()))
    return labels

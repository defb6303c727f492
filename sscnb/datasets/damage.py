"""Damage inside a JPEG that still decodes: what the decoder only warns of.

JPEG has no check sums. The decoder notices codes that do not exist and data that end before the picture does, or after
it; it says so on the process's error stream, fills the rest with grey and goes on. PIL passes over it, so that OpenCV
decodes once more, at an eighth of the size, with that stream read. What stays hidden: changed bytes that happen to be
valid codes for as many blocks, such as a single flipped bit.
"""

import os
import re
import tempfile
import threading

import numpy as np

_DAMAGE = ("Corrupt JPEG data", "Premature end", "Inconsistent progression")
_BEHIND = re.compile(r"(\d+) extraneous bytes before marker 0xd9")
_LOCK = threading.Lock()  # the stream is the whole process's


def jpeg_damage(content: bytes) -> str:
    """Return what the decoder says of a JPEG's damage, or nothing."""
    import cv2  # here: half a second, for the first image that is checked alone

    with _LOCK, tempfile.TemporaryFile() as said:
        stream = os.dup(2)
        os.dup2(said.fileno(), 2)
        try:
            cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_REDUCED_GRAYSCALE_8)
        except cv2.error:
            pass  # PIL has read it: another opinion on what a JPEG is
        finally:
            os.dup2(stream, 2)
            os.close(stream)
        said.seek(0)
        lines = said.read().decode(errors="replace").splitlines(keepends=True)
    found = [line.strip() for line in lines if line.startswith(_DAMAGE)]
    if others := "".join(line for line in lines if line.strip() not in found):
        os.write(2, others.encode())  # of another thread
    found = [line for line in found if not _padding(line, content)]
    return found[0] if found else ""


def _padding(line: str, content: bytes) -> bool:
    """Tell whether what a line complains of is padding behind the last block, one byte over and over."""
    if not (behind := _BEHIND.search(line)):
        return False
    end = content.rfind(b"\xff\xd9")
    return len(set(content[end - int(behind[1]) : end])) == 1

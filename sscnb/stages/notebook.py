"""What every notebook does first: open its run and refuse parameters that it does not know."""

from collections.abc import Mapping, Sequence
from typing import Any

from sscnb.errors import UserError, nearest, system_errors
from sscnb.stages.run import Run, open_run

PARAMETERS = ("preset", "run_dir", "data_root", "seed", "overrides")


def begin(names: Mapping[str, Any], extra: Sequence[str] = ()) -> Run:
    """Open the run that a notebook's parameters describe, and print its folder.

    papermill injects any parameter, known or not, as a variable; so a plain value under an unknown name is a parameter
    that was meant to do something. Call it before other values are assigned: `run = begin(globals())`. When the cell
    is run again later, `run` is there, and so are the notebook's own values: then nothing is refused.

    Args:
        names: the notebook's `globals()`.
        extra: parameters that this notebook has beyond the five common ones.

    Raises:
        UserError: an unknown parameter, or what `open_run` refuses.
    """
    valid = [*PARAMETERS, *extra]
    first = not isinstance(names.get("run"), Run)
    for name, value in names.items() if first else ():
        plain = isinstance(value, str | int | float | bool | dict | list | type(None))
        # Names of IPython's own: In, Out, _dh, _i1, exit, ...
        if plain and not name.startswith("_") and name not in ("In", "Out") and name not in valid:
            raise UserError(f"this notebook has no parameter {name!r}; {nearest(name, valid)}")
    with system_errors():
        run = open_run(**{name: names[name] for name in PARAMETERS if name in names})
    print(f"run folder: {run.folder}\npreset {run.config.preset}, random seed {run.seed}")
    return run

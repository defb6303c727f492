"""What README shows of the rows that are kept: `python book/readme_parts.py` writes it between the markers."""

import re
from pathlib import Path

from sscnb.evidence import claims_table, in_words, ladder_table, reference_rows

README = Path(__file__).resolve().parent.parent / "README.md"


def readme_parts() -> dict[str, str]:
    """Return the parts by the name of their markers, `<!-- name -->` and `<!-- /name -->`."""
    sets = reference_rows()
    return {"words": in_words(sets), "results": ladder_table(sets), "claims": claims_table(sets)}


def main() -> None:
    text = README.read_text(encoding="utf-8")
    for name, part in readme_parts().items():
        marked = f"<!-- {name} -->\n{part}\n<!-- /{name} -->"
        text = re.sub(rf"<!-- {name} -->.*?<!-- /{name} -->", lambda _, new=marked: new, text, flags=re.DOTALL)
    README.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

"""Write the golden pools: small inputs with results computed by other means than al_plugin's.

    python tests/golden/make.py

Each ``oracle_*.py`` beside this file maps strategies (``<stage>.<name>``) to functions that give
their cases in ``CASES``. Everything there is plain Python: ``decimal`` for closed forms, whole
numbers and exhaustive loops for geometry. Nothing of al_plugin (and no NumPy) is imported.
"""

import importlib
import json
import re
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
ORACLES = sorted(path.stem for path in HERE.glob("oracle_*.py"))
CASES = {name: cases for oracle in ORACLES for name, cases in importlib.import_module(oracle).CASES.items()}


def content(name):
    """The golden file of a strategy, as text: a list of numbers stands on one line."""
    text = json.dumps({"strategy": name, "cases": CASES[name]()}, indent=1, sort_keys=True)
    return re.sub(r"\[[^\[\]{}]+\]", on_one_line, text) + "\n"


def on_one_line(found):
    return "[" + " ".join(found[0][1:-1].split()) + "]"


if __name__ == "__main__":
    for name in CASES:
        (HERE / f"{name}.json").write_text(content(name), encoding="utf-8")

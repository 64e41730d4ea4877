"""Axis names and the array types built from them.

Axes
----
N  samples under consideration (the pool, or the candidates of one query)
L  labelled samples
C  classes
D  width of an embedding
T  posterior samples: dropout passes, ensemble members, Laplace draws
M  target inputs: samples that stand for what the model will meet
P  parts of a representation that is no embedding: passes times classes
A  annotators
V  votes: one answer of one annotator to one query
S  samples that have at least one vote
E  epochs that were recorded
n  picks

The string in an annotation is the shape. The strategy wrapper checks the shapes of signals where
they enter (``signals.py`` holds the table); a type checker sees the dtype family.
"""

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.signedinteger[Any]]

FloatsN = Annotated[Floats, "N"]
FloatsNC = Annotated[Floats, "N C"]
FloatsND = Annotated[Floats, "N D"]
FloatsLC = Annotated[Floats, "L C"]
FloatsLD = Annotated[Floats, "L D"]
FloatsTNC = Annotated[Floats, "T N C"]
FloatsTMC = Annotated[Floats, "T M C"]
FloatsCD = Annotated[Floats, "C D"]
FloatsC = Annotated[Floats, "C"]
FloatsNP = Annotated[Floats, "N P"]
FloatsSC = Annotated[Floats, "S C"]
FloatsS = Annotated[Floats, "S"]
FloatsV = Annotated[Floats, "V"]
FloatsL = Annotated[Floats, "L"]
FloatsTN = Annotated[Floats, "T N"]
FloatsKD = Annotated[Floats, "K D"]
IntsN = Annotated[Ints, "N"]
IntsL = Annotated[Ints, "L"]
IntsTN = Annotated[Ints, "T N"]
IntsNA = Annotated[Ints, "N A"]
IntsV = Annotated[Ints, "V"]
KeysN = Annotated[NDArray[np.uint64], "N"]
Picks = Annotated[Ints, "n"]

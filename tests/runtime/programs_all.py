"""All programs that the laws of `test_programs` are checked on."""

from programs import PROGRAMS
from programs_complex import COMPLEX
from programs_found import FOUND
from programs_indexing import INDEXING
from programs_linear import LINEAR
from programs_loop import LOOPS
from programs_math import MATH
from programs_recompute import RECOMPUTED
from programs_while import WHILES

ALL = PROGRAMS | LOOPS | MATH | INDEXING | RECOMPUTED | WHILES | LINEAR | COMPLEX | FOUND

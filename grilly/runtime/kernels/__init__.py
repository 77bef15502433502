"""Kernel kinds, a file each: which equations it computes, and how it writes them.

`pull` computes anything at one place; `elementwise`, `views`, `gather`, `scatter`, `windows`, `shallow` and `repeat`
hold its rules; `map`, `reduction`, `scan`, `sort`, `matmul` and `tensor` write the loops around it.
"""

from . import gather as gather
from . import repeat as repeat
from . import scatter as scatter
from . import shallow as shallow
from . import views as views
from . import windows as windows

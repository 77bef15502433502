"""Kernel kinds, a file each: which equations it computes, and how it writes them.

`pull` computes anything at one place; `elementwise`, `views` and `windows` hold its rules; `map`, `reduction`, `scan`
and `matmul` write the loops around it.
"""

from . import views as views
from . import windows as windows

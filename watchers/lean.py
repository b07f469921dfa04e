"""Imported before everything else by the container side's program, to keep it small.

structlog imports rich wherever it is installed, for tracebacks in colour: 5 MB in each container, of
50. None in `sys.modules` makes that import fail (https://docs.python.org/3/reference/import.html#the-module-cache),
and structlog then does without.
"""

import sys

sys.modules.setdefault("rich", None)  # type: ignore[arg-type]  # typeshed knows modules only

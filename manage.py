#!/usr/bin/env python3
"""Django's entry point: `./manage.py help` lists the operators' commands."""

import sys
from pathlib import Path

# The source tree wins over an installed copy, because this file is run from the tree.
sys.path.insert(0, str(Path(__file__).resolve().parent))

from confhub.env import name_settings_module
from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

if __name__ == "__main__":
    name_settings_module()
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:  # a setting that cannot be used; the text names it
        sys.exit(str(error))

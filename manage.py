#!/usr/bin/env python
"""The hub's commands: `manage.py help` lists them."""

import os
import sys

import django
from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

from hub.private_files import be_private
from hub.starting import without_collections

if __name__ == "__main__":
    be_private()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")
    try:
        with without_collections():
            django.setup()
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"{error}")

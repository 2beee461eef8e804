"""atexit's internal name, behind a plain one. tests/hub/test_library_internals.py fails if it changes."""

import atexit

run_exit_functions = atexit._run_exitfuncs

"""The tasks of bin/prepare_tasks.py: each module turns unpacked packages into items."""

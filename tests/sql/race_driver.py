"""The driver of PostgreSQL in C against a real server: tests/unit/pg_*.c, built by `make unit`."""
import os
import pathlib
import subprocess

import pytest


@pytest.mark.parametrize("name", ["pg_conn", "pg_lane"])
def test_the_driver_keeps_its_promises(name):
    program = pathlib.Path(os.environ["BUILD"]) / "unit" / name
    done = subprocess.run([program], capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

"""The driver of PostgreSQL in C against a real server: tests/unit/pg_driver.c, built by `make unit`."""
import os
import pathlib
import subprocess

PROGRAM = pathlib.Path(os.environ["BUILD"]) / "unit/pg_driver"


def test_the_driver_keeps_its_promises():
    done = subprocess.run([PROGRAM], capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

"""An update while programs serve: it waits for whoever holds a table, but nobody waits behind it for long."""
import os
import pathlib
import shutil
import subprocess
import threading

import psycopg
import pytest

SQL = pathlib.Path(__file__).resolve().parents[2] / "sql"
WAIT_S = 60
NAME = f"race_migrate_{os.getpid()}"


@pytest.fixture(name="conninfo")
def fixture_conninfo():
    """A database of its own, with the schema as it is."""
    with psycopg.connect(os.environ["RESTSIP_TEST_PG"], autocommit=True) as db:
        db.execute(f"create database {NAME}")
        try:
            conninfo = f"{os.environ['RESTSIP_TEST_PG']} dbname={NAME}"
            subprocess.run([SQL / "migrate", conninfo], check=True, timeout=WAIT_S)
            yield conninfo
        finally:
            db.execute(f"drop database {NAME} with (force)")


def test_an_update_holds_up_nobody_behind_a_backup(conninfo, tmp_path):
    shutil.copytree(SQL, tmp_path / "sql")
    (tmp_path / "sql/migrations/9999_more.sql").write_text("alter table app.account add column more int;\n")
    with psycopg.connect(conninfo) as backup:
        backup.execute("select count(*) from app.account")  # as pg_dump has it: to the end of its transaction
        with subprocess.Popen([tmp_path / "sql/migrate", conninfo], stderr=subprocess.PIPE, text=True) as update:
            guard = threading.Timer(WAIT_S, update.kill)
            guard.start()
            said = ""
            while "once more" not in said:
                line = update.stderr.readline()
                assert line, said
                said += line
            assert "lock timeout" in said
            with psycopg.connect(conninfo) as other:
                other.execute("set statement_timeout = '30s'")
                assert other.execute("select count(*) from app.account").fetchone() == (0,), "others go on"
            backup.rollback()
            update.communicate(timeout=WAIT_S)
            guard.cancel()
            assert update.returncode == 0
    with psycopg.connect(conninfo) as db:
        assert db.execute("select more from app.account").fetchall() == []

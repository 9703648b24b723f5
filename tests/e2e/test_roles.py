"""The programs' own connections, as they stand in the database: three roles that read no table."""
import psycopg
import pytest

PROGRAMS = ("restsip_agent", "restsip_api", "restsip_stream")


def test_each_program_runs_as_its_role(system):
    roles = {row["usename"] for row in system.query_owner(
        "select usename from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()")}
    assert set(PROGRAMS) <= roles
    assert roles <= {*PROGRAMS, "restsip_owner", "restsip_inspect"}, roles


@pytest.mark.parametrize("role", PROGRAMS)
def test_a_programs_role_reads_no_table_and_no_view(system, role):
    tables = [row["name"] for row in system.query_owner(
        """select format('%I.%I', n.nspname, c.relname) as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname in ('app', 'inspect') and c.relkind in ('r', 'v')""")]
    assert len(tables) > 20
    with psycopg.connect(system.pg_owner.replace("user=restsip_owner", f"user={role}"), autocommit=True) as db:
        assert db.execute("select current_user").fetchone() == (role,)
        for table in tables:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                db.execute(f"select 1 from {table} limit 1")

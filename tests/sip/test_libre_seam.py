"""The agent puts functions of its own in the place of libre's: with a libre that would pass by them it does not start."""
import os
import pathlib
import struct
import subprocess

from restsip_system import TOP

PROGRAM = TOP / os.environ.get("BUILD", "build") / "restsip-agent"
PT_DYNAMIC = 2
DT_NULL, DT_SYMBOLIC, DT_RELACOUNT = 0, 16, 0x6FFFFFF9


def libre():
    """Where the loader finds it."""
    mapped = subprocess.run(["ldd", PROGRAM], check=True, capture_output=True, text=True).stdout
    return next(pathlib.Path(line.split()[2]) for line in mapped.splitlines() if "libre.so" in line)


def bound_to_itself(elf):
    """As if it had been linked with -Bsymbolic: one entry of its dynamic section, which is a hint only, says so."""
    elf = bytearray(elf)
    (headers,) = struct.unpack_from("<Q", elf, 32)
    size, count = struct.unpack_from("<HH", elf, 54)
    for at in range(headers, headers + size * count, size):
        kind, _, where = struct.unpack_from("<IIQ", elf, at)
        if kind != PT_DYNAMIC:
            continue
        while (tag := struct.unpack_from("<Q", elf, where)[0]) != DT_NULL:
            if tag == DT_RELACOUNT:
                struct.pack_into("<Q", elf, where, DT_SYMBOLIC)
                return bytes(elf)
            where += 16
    raise ValueError("there is no entry to change")


def test_a_libre_that_would_pass_by_the_gate_is_refused(tmp_path):
    path = libre()
    (tmp_path / path.name).write_bytes(bound_to_itself(path.read_bytes()))
    done = subprocess.run([PROGRAM, "-c", "/dev/null"], env=os.environ | {"LD_LIBRARY_PATH": tmp_path},
                          timeout=60, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "level=error prog=restsip-agent event=libre_unfit" in done.stderr
    assert "event=listening" not in done.stderr

"""restsipctl, as an operator runs it."""
import json
import os
import pathlib
import subprocess

from restsip_system import TOP

RUN_S = 30


def program():
    return TOP / pathlib.Path(os.environ.get("BUILD", "build")) / "restsipctl"


class Ctl:
    """`ctl("kick", email)` on one system: what the program said and how it ended."""

    def __init__(self, system):
        self.system = system

    def __call__(self, *args, said="", settings=True, env=None):
        """said: what comes from standard input, which is no terminal."""
        env = {**os.environ, **(env or {})}
        env.pop("RESTSIP_SETTINGS", None)
        if settings:
            env["RESTSIP_SETTINGS"] = str(self.system.ini)
        return subprocess.run([program(), *map(str, args)], input=said, text=True, capture_output=True, env=env,
                              cwd="/", timeout=RUN_S, check=False)

    def done(self, *args, **how):
        """What it said, where it went well and quietly."""
        done = self(*args, **how)
        assert (done.returncode, done.stderr) == (0, ""), (args, done)
        return done.stdout

    def json(self, *args, **how):
        return json.loads(self.done("--json", *args, **how))

    def refused(self, *args, code=1, **how):
        """What it said where it did not, on standard error."""
        done = self(*args, **how)
        assert (done.returncode, done.stdout) == (code, ""), (args, done)
        assert done.stderr.startswith("restsipctl: ") and done.stderr.count("\n") == 1, done.stderr
        return done.stderr

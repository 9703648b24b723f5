"""What stands in README.md is run as it stands there, in its order, against a fresh system."""
import os
import re
import subprocess

from restsip_system import TOP

BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINE_TIMEOUT_S = 60


def blocks():
    """The blocks for a shell, but those that start or install something (test_deploying.py runs these), and those that take
    a phone (tests/sip/test_readme_calls.py)."""
    text = (TOP / "README.md").read_text().split("\n## Deploying\n")[0]
    text = re.sub(r"\n## Calls with curl\n.*?(?=\n## )", "", text, flags=re.DOTALL)
    return [block for block in BLOCK.findall(text) if not block.startswith("make ")]


def run(system, script):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("RESTSIP_", "PG"))}
    env["PATH"] = f"{TOP / os.environ.get('BUILD', 'build')}:{env['PATH']}"  # of restsipctl, as if it were installed
    return subprocess.run(["bash", "-e", "-o", "pipefail", "-c", script], env=env, cwd=system.state, text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                          timeout=LINE_TIMEOUT_S)


def test_its_lines_work(systems):
    """One shell for all: a later block uses what an earlier one has set."""
    system = systems("readme")
    marked = "\n".join(f"echo '== block {i}'\n{block}" for i, block in enumerate(blocks()))
    script = marked.replace(". .run/env", f". {system.state}/env")
    assert script != marked, "it no longer says where the addresses are"
    done = run(system, script)
    assert done.returncode == 0, done.stdout
    out = dict(re.findall(r"== block (\d+)\n(.*?)(?=== block|\Z)", done.stdout, re.DOTALL))
    assert "/problems/" not in done.stdout, done.stdout
    everything = done.stdout
    for expected in ('"id":"dave@example.net"', '"contact":"sip:dave@127.0.0.1:5999"', '"url":"/login/dave@example.net"',
                     '"status":"stored"', "hi alice", "dave@example.net | ", '"label":"desk phone"', "erin@example.net has an account now.",
                     "erin@example.net is disabled.", "credential add"):
        assert expected in everything, (expected, everything)
    assert len(out) == len(blocks())


def test_it_names_what_there_is():
    """Every file that it links to is there, and so is what those in docs/ link to."""
    for page in (TOP / "README.md", *(TOP / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), (page, target)


def test_its_table_has_every_bound(system):
    """Each bound of the database with its default, and none that is not there."""
    rows = re.findall(r"^\| (.*?) \| (.*?) \|", (TOP / "README.md").read_text().split("\n## Bounds\n")[1].split("\n## ")[0], re.MULTILINE)
    said = {name: amounts for what, amounts in rows for name in re.findall(r"`(\w+)`", what)}
    bounds = {row["name"]: row["standard"] for row in system.query("select name, standard from inspect.bound")}
    assert said.keys() == bounds.keys()
    for name, standard in bounds.items():
        assert re.search(rf"(?<!\d){standard}(?!\d)", said[name]), (name, standard, said[name])

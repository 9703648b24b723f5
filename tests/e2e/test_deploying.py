"""README's "Deploying", line by line as it stands there, leads to a running system.

It is run in a root of its own: this machine's, copied on write, without what it has of PostgreSQL's and nginx's settings;
in `make test-long` also in one that debootstrap makes, where the lines install what they need. No systemd runs there:
tests/lib/systemctl starts what the units say.
"""
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from restsip_system import TOP

BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
ROOT = TOP / "tests/lib/debian-root"
TIMEOUT_S = 400  # it builds all, and starts PostgreSQL and nginx
LONG_TIMEOUT_S = 1500

# This machine as it was when PostgreSQL and nginx had just been installed; apt knows of no later version, to be got.
AS_NEW = """
rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin
rm -rf /etc/postgresql/15 /var/lib/postgresql/15 /etc/restsip /etc/nginx/restsip /etc/nginx/sites-available/restsip
rm -rf /etc/nginx/sites-enabled/* /usr/local/bin/restsip-* /usr/local/share/restsip
ln -s ../sites-available/default /etc/nginx/sites-enabled/default
! id restsip 2>/dev/null || userdel restsip
pg_createcluster 15 main
"""
BOOT = "systemctl start postgresql nginx\n"

# What a visitor finds. Each line says what it was asked for.
LOOK = r"""
set +x
cd /
look() { local what=$1; shift; printf '%s: %s\n' "$what" "$("$@" 2>&1 | tr '\n' ' ')"; }
api() { curl -sk -m 10 --resolve sip.example.net:443:192.0.2.1 "$@"; }
look sign-up api https://sip.example.net/user -d '{"email":"dave@example.net","password":"dave-secret"}'
look login api -u dave@example.net:dave-secret https://sip.example.net/login/me -d '{"contact":"sip:dave@127.0.0.1:5999"}'
look stream api -N -m 2 -u dave@example.net:dave-secret 'https://sip.example.net/login/me?stream'
look page api -o /dev/null -w '%{http_code}' https://sip.example.net/
hsts() { # each answer has it once: files, worker, stream, nginx's own
	for path in / /docs /openapi.json /restsip.js /nothing /login /problems/busy '/login/me?stream' /watch /health/live /_problem; do
		printf '%s ' "$(api -o /dev/null -D - "https://sip.example.net$path" | grep -ci '^strict-transport-security: max-age=31536000')"
	done
}
look hsts hsts
look http curl -s -o /dev/null -w '%{http_code}' http://192.0.2.1/
look health curl -sk -m 10 https://127.0.0.1/health/ready
look console runuser -u postgres -- psql -XAt restsip -c 'select email, contact from inspect.login'
look roles runuser -u postgres -- psql -XAt restsip -c "select distinct usename from pg_stat_activity where usename ~ 'restsip' order by 1"
look tls timeout 10 openssl s_client -connect 192.0.2.1:5061 -CAfile /etc/restsip/tls/fullchain.pem -verify_hostname sip.example.net </dev/null
exec 3<>/dev/udp/192.0.2.1/5060
printf 'OPTIONS sip:192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:9;branch=z9hG4bK1;rport\r\nFrom: <sip:a@example.net>;tag=1\r\nTo: <sip:192.0.2.1>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n' |
	dd bs=4096 iflag=fullblock status=none >&3 # one datagram
look options timeout 5 head -c 11 <&3
! type systemd-analyze >/dev/null || look units systemd-analyze verify --man=no /usr/local/lib/systemd/system/restsip-{api@1,agent@1,stream}.service
"""

# Someone renews the certificate, as certbot would have it put in place: each door shows the new one.
RENEW = r"""
install -d -m 700 /root/renewed
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 90 -subj /CN=renewed.example.net -addext subjectAltName=DNS:sip.example.net -keyout /root/renewed/privkey.pem -out /root/renewed/fullchain.pem 2>/dev/null
RENEWED_LINEAGE=/root/renewed /usr/local/share/restsip/certificate-renewed
shown() { timeout 10 openssl s_client -connect "$1" </dev/null 2>/dev/null | openssl x509 -noout -subject 2>/dev/null; }
for door in 127.0.0.1:443 192.0.2.1:5061; do
	for i in $(seq 100); do ! shown $door | grep -q renewed || break; sleep 0.2; done
	look renewed-${door#*:} shown $door
done
look renewed-key stat -c '%a %U %G' /etc/restsip/tls/key.pem
"""

# A dump that broke off is no reason to lose what is there. What stands in the place of %s puts back.
BROKEN = r"""
cp -p /var/backups/restsip/dump /var/backups/restsip/whole
truncate -s -2000 /var/backups/restsip/dump
cat >/root/put-back <<'END'
%s
END
look broken-restore bash -euc '. /root/put-back; echo restored'
mv /var/backups/restsip/whole /var/backups/restsip/dump
look broken-kept runuser -u postgres -- psql -XAt restsip -c "select email from inspect.account where email ~ '^dave'"
"""

# After the first look.
AGAIN = "echo '== put back'\nset -x\n"


def section(name):
    return (TOP / "README.md").read_text().split(f"\n## {name}\n")[1].split("\n## ")[0]


def blocks(name="Deploying"):
    return BLOCK.findall(section(name))


def in_root(work, script, base="/", timeout_s=TIMEOUT_S, **env):
    env = {**os.environ, **env}
    done = subprocess.run([ROOT, work, TOP, base], input=script, env=env, text=True, check=False, timeout=timeout_s,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout[-6000:]
    return done.stdout


def runs_here(work):
    """Whether a root of its own can be made here: it takes root, namespaces and overlays."""
    if os.geteuid() != 0 or not shutil.which("ip"):
        return False
    return subprocess.run([ROOT, work, TOP], input="true\n", text=True, check=False, capture_output=True).returncode == 0


@pytest.fixture
def work(folder, request):
    path = folder / request.node.name
    path.mkdir()
    if not runs_here(path):
        pytest.skip("needs root, namespaces and overlayfs")
    yield path
    shutil.rmtree(path)


def judge(said, sign_up=r'"id":"dave@example.net"'):
    found = dict(re.findall(r"^([a-z-]+): (.*)$", said, re.MULTILINE))
    wrong = [(what, found.get(what)) for what, expected in {
            "sign-up": sign_up, "login": r'"self":"/login/dave@example.net/\d+"',
            "stream": r'^{"event":"state".*sip:dave@127.0.0.1:5999', "page": r"^200", "hsts": r"^(1 ){11}$", "http": r"^308", "health": r'"status":"ready".*"agents":1',
            "console": r"dave@example.net\|sip:dave@127.0.0.1:5999",
            "roles": r"^restsip_agent restsip_api restsip_stream $", "tls": r"Verify return code: 0",
            "options": r"^SIP/2.0 200", "units": r"^ *$"}.items() if not re.search(expected, found.get(what, ""))]
    assert not wrong, (wrong, said[-6000:])


@pytest.mark.timeout(TIMEOUT_S + 20)
def test_its_lines_lead_to_a_running_system(work):
    """Which is still there once it was backed up and put back."""
    build, backup = blocks()[:-2], blocks()[-2:]
    said = in_root(work, AS_NEW + BOOT + "".join(build) + LOOK + RENEW + backup[0] + BROKEN % backup[1] + AGAIN + backup[1] + LOOK)
    first, second = said.split("== put back\n")
    judge(first)
    judge(second, "account-exists")
    assert re.search("^broken-restore: (?!.*restored)", first, re.MULTILINE), first[-3000:]
    assert "\nbroken-kept: dave@example.net" in first, first[-3000:]
    for what, expected in {"443": "CN = renewed", "5061": "CN = renewed", "key": "640 root restsip"}.items():
        assert re.search(f"^renewed-{what}: .*{expected}", first, re.MULTILINE), first[-3000:]


@pytest.mark.long
@pytest.mark.timeout(LONG_TIMEOUT_S)
def test_its_lines_lead_to_a_running_system_from_a_bare_debian(work):
    """Only what the lines install is there. They are run in two parts: those that install have a network."""
    if not shutil.which("debootstrap"):
        pytest.skip("needs debootstrap")
    base = work / "debian"
    made = subprocess.run(["debootstrap", "--variant=minbase", "--include=systemd,ca-certificates", "bookworm", base], text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=LONG_TIMEOUT_S)
    if made.returncode and re.search("resolv|connect|retriev|download", made.stdout):
        pytest.skip(f"no mirror of Debian: {made.stdout[-300:]}")
    assert made.returncode == 0, made.stdout[-3000:]
    (base / "usr/sbin/policy-rc.d").write_text("#!/bin/sh\nexit 101\n")
    (base / "usr/sbin/policy-rc.d").chmod(0o755)
    first, *others = blocks()
    env = {"BUILD": "/usr/src/restsip-build", "SANITIZE": ""}
    in_root(work, "apt-get update -q\n" + first, base, LONG_TIMEOUT_S, KEEP="yes", NET="yes", **env)
    judge(in_root(work, BOOT + "".join(others[:-2]) + LOOK, base, LONG_TIMEOUT_S, **env))

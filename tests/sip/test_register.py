"""The registrar, as a phone sees it (RFC 3261 section 10.3, RFC 7616, RFC 3327)."""
import json
import pathlib
import re
import secrets
import subprocess
import time

import pytest

from phone import digest, new_account

SCENARIOS = pathlib.Path(__file__).resolve().parents[1] / "data/sipp"


def test_a_registration_is_seen_at_once(account, phone, logins):
    alice = account("alice")
    assert alice.request("GET", alice.login).json() == []
    p = phone(alice)
    answer = p.register(expires=300)
    answered = time.monotonic()
    assert answer.code == 200
    assert answer.contacts == {p.contact: 300}
    assert answer.get("date")

    listed = alice.request("GET", alice.login).json()
    assert time.monotonic() - answered < 0.1
    assert [(c["contact"], c["source"], c["expires"]) for c in listed] == [(p.contact, "sip", 300)]
    row = logins(alice)[p.contact]
    assert (row["source"], row["expires"], row["call_id"]) == ("sip", 300, p.call_id)


def test_the_default_lifetime_is_an_hour(account, phone):
    p = phone(account())
    assert p.register().contacts == {p.contact: 3600}


def test_a_long_lifetime_is_shortened(account, phone):
    p = phone(account())
    assert p.register(expires=4000000000).contacts == {p.contact: 7200}


def test_the_contacts_own_lifetime_counts(account, phone):
    p = phone(account())
    answer = p.register(expires=600, contacts=[f"<{p.contact}>;expires=70", "<sip:other@127.0.0.1:16191>"])
    assert answer.contacts == {p.contact: 70, "sip:other@127.0.0.1:16191": 600}


def test_sha256_is_offered_where_every_credential_has_it(account, phone):
    p = phone(account(), algorithm="SHA-256")
    assert p.register().code == 200
    assert "algorithm=SHA-256" in p.challenge


def test_md5_is_offered_where_one_credential_has_it(account, phone):
    alice = account()
    strong, plain = phone(alice, algorithm="SHA-256"), phone(alice)
    assert plain.register().code == 200
    assert "algorithm=MD5" in plain.challenge
    assert strong.register().code == 401


def test_sipp_registers(account, system, logins):
    alice = account("alice")
    credential = alice.credential()
    done = subprocess.run(
        ["sipp", f"{system.sip_host}:{system.sip_port}", "-sf", SCENARIOS / "register.xml", "-s",
         alice.email.split("@")[0], "-au", credential["username"], "-ap", credential["password"], "-m", "1",
         "-i", "127.0.0.1", "-nostdin", "-timeout", "10s"],
        check=False, capture_output=True, timeout=30)
    assert done.returncode == 0, done.stderr
    (row,) = logins(alice).values()
    assert row["source"] == "sip"
    assert row["expires"] == 600
    assert row["user_agent"] == "sipp"


def test_several_contacts_are_kept_and_removed_one_by_one(account, phone, logins):
    alice = account()
    p = phone(alice)
    other = "sip:desk@127.0.0.1:16191"
    answer = p.register(expires=600, contacts=[f'"Mobile, <sip:x@y>" <{p.contact}>;q=0.7, <{other}>;q=1'])
    assert answer.contacts == {p.contact: 600, other: 600}
    assert {c: float(r["q"]) for c, r in logins(alice).items()} == {p.contact: 0.7, other: 1.0}

    answer = p.register(contacts=[f"<{other}>;expires=0"])
    assert answer.contacts == {p.contact: 600}
    assert set(logins(alice)) == {p.contact}


def test_a_star_removes_all(account, phone, logins):
    alice = account()
    p = phone(alice)
    assert len(p.register(contacts=[f"<{p.contact}>", "<sip:b@127.0.0.1:16191>"]).contacts) == 2
    answer = p.register(expires=0, contacts=["*"])
    assert (answer.code, answer.contacts) == (200, {})
    assert not logins(alice)


@pytest.mark.parametrize("contacts,expires", [(["*"], 60), (["*"], None), (["*", "<sip:b@127.0.0.1:16191>"], 0),
                                              (["*, <sip:b@127.0.0.1:16191>"], 0)])
def test_a_star_stands_alone_with_expires_0(account, phone, logins, contacts, expires):
    alice = account()
    p = phone(alice)
    p.register()
    assert p.register(expires=expires, contacts=contacts).code == 400
    assert set(logins(alice)) == {p.contact}


def test_no_contact_only_asks(account, phone, logins):
    alice = account()
    p = phone(alice)
    p.register(expires=500)
    before = logins(alice)
    answer = p.register(contacts=[])
    assert answer.code == 200
    assert 498 <= answer.contacts[p.contact] <= 500
    assert logins(alice) == {**before, p.contact: {**before[p.contact], "left_s": logins(alice)[p.contact]["left_s"]}}


def test_a_refresh_keeps_the_number_and_renews_the_lifetime(account, phone, logins):
    alice = account()
    p = phone(alice)
    p.register(expires=100)
    first = logins(alice)[p.contact]
    assert p.register(expires=1000).contacts == {p.contact: 1000}
    second = logins(alice)[p.contact]
    assert second["n"] == first["n"]
    assert second["expires_at"] > first["expires_at"]


def test_the_same_uri_written_otherwise_is_the_same_contact(account, phone, logins):
    alice = account()
    p = phone(alice)
    p.register(contacts=["<sip:%61lice@EXAMPLE.com:16191;ob>"])
    p.register(contacts=["<sip:alice@example.com:16191;foo=bar>"])
    assert list(logins(alice)) == ["sip:alice@example.com:16191;foo=bar"]


def test_too_short_a_lifetime_is_423(account, phone, logins):
    alice = account()
    p = phone(alice)
    answer = p.register(contacts=[f"<{p.contact}>;expires=59", "<sip:b@127.0.0.1:16191>;expires=600"])
    assert answer.code == 423
    assert answer.get("min-expires") == "60"
    assert not logins(alice), "all or nothing"


def test_what_has_lapsed_is_gone(systems, phone, until):
    short = systems("short", {"RESTSIP_AGENT_MIN_EXPIRES_S": "1", "RESTSIP_DEMO": "no"})
    alice = new_account(short, "alice")
    p = phone(alice)
    assert p.register(expires=1).contacts == {p.contact: 1}
    until(lambda: alice.request("GET", alice.login).json() == [], 4)
    assert p.register(contacts=[]).contacts == {}


def test_an_older_cseq_is_refused(account, phone, logins):
    alice = account()
    p = phone(alice)
    p.register()
    p.register(cseq=1000)
    assert p.register(expires=0, cseq=10).code == 500
    assert set(logins(alice)) == {p.contact}
    other = phone(alice)
    assert other.register().code == 200, "another Call-ID has an order of its own"


def test_an_equal_cseq_is_a_repeat_or_refused(account, phone, logins):
    """It is not answered as if it were done, where it asks for something else."""
    alice = account()
    p = phone(alice)
    p.challenge = p.request("REGISTER", f"sip:{p.domain}", auth=False).get("www-authenticate")

    def register(contact, tag, expires=600):
        return p.register(expires=expires, contacts=[contact], cseq=1000, tag=tag)

    mine, other = f"<{p.contact}>", "<sip:other@127.0.0.1:16191>"
    assert register(mine, "a").code == 200
    again = register(mine, "b")
    assert (again.code, list(again.contacts)) == (200, [p.contact])
    assert register(other, "c").code == 500
    assert register(mine, "d", 0).code == 500
    assert register("*", "e", 0).code == 500
    assert set(logins(alice)) == {p.contact}


def test_a_retransmission_gets_the_same_answer(account, phone):
    p = phone(account())
    challenge = p.exchange(p.build("REGISTER", f"sip:{p.domain}"))
    raw = p.build("REGISTER", f"sip:{p.domain}", [
        ("Contact", f"<{p.contact}>"),
        ("Authorization", digest(challenge.get("www-authenticate"), "REGISTER", f"sip:{p.domain}", p.username,
                                 p.password))])
    first, second = p.exchange(raw), p.exchange(raw)
    assert first.code == 200
    assert first.raw == second.raw


def test_a_wrong_password_and_no_such_user_get_the_same(account, phone):
    def shape(answer):
        """An answer with what differs each time, and what only repeats the request, left out."""
        lines = [(n, v) for n, v in answer.headers if n not in ("via", "from", "to", "call-id", "cseq")]
        return answer.start, re.sub(r'nonce="\w+"', "nonce", str(lines))

    right = account()
    wrong = phone(right)
    wrong.password = "guess"
    nobody = phone(right)
    nobody.user = nobody.username = "nobody-" + secrets.token_hex(4)
    answers = [wrong.register(), nobody.register()]
    assert [a.code for a in answers] == [401, 401]
    assert "stale" not in answers[0].get("www-authenticate")
    assert shape(answers[0]) == shape(answers[1])


def test_nobody_registers_for_another(account, phone, logins):
    alice, bob = account("alice"), account("bob")
    p = phone(alice)
    assert p.register(to=f"sip:{bob.email}").code == 403
    assert p.register(sender=f"sip:{bob.email}").code == 403
    assert not logins(bob)
    assert not logins(alice)


def test_a_display_name_cannot_pose_as_the_address(account, phone, logins):
    alice, bob = account("alice"), account("bob")
    p = phone(alice)
    answer = p.register(headers=[("To", f'"<sip:{alice.email}>" <sip:{bob.email}>')])
    assert answer.code == 403
    assert not logins(bob)


def test_a_nonce_count_is_used_once(account, phone):
    p = phone(account())
    challenge = p.exchange(p.build("REGISTER", f"sip:{p.domain}")).get("www-authenticate")
    authorization = digest(challenge, "REGISTER", f"sip:{p.domain}", p.username, p.password)
    assert p.register(headers=[("Authorization", authorization)], auth=False).code == 200
    replay = p.register(headers=[("Authorization", authorization)], auth=False)
    assert replay.code == 401
    assert "stale=true" in replay.get("www-authenticate")


def test_a_nonce_of_another_process_is_stale(account, phone):
    p = phone(account())
    p.challenge = f'Digest realm="{p.domain}", nonce="{"0" * 66}", algorithm=MD5, qop="auth"'
    answer = p.register(headers=[("Authorization", digest(p.challenge, "REGISTER", f"sip:{p.domain}", p.username,
                                                          p.password))], auth=False)
    assert answer.code == 401
    assert "stale=true" in answer.get("www-authenticate")


@pytest.mark.parametrize("change", [
    {"qop": "auth-int"}, {"nc": "00000000"}, {"nc": "zz"}, {"realm": "example.org"}, {"uri": "sip:other.example"},
    {"username": ""}, {"response": "0" * 32}, {"algorithm": "SHA-256"}, {"response": "0" * 33}])
def test_an_authorization_that_does_not_fit_is_challenged(account, phone, logins, change):
    alice = account()
    p = phone(alice)
    challenge = p.exchange(p.build("REGISTER", f"sip:{p.domain}")).get("www-authenticate")
    authorization = digest(challenge, "REGISTER", f"sip:{p.domain}", p.username, p.password, change=change)
    assert p.register(headers=[("Authorization", authorization)], auth=False).code == 401
    assert not logins(alice)


def test_a_scheme_nobody_knows_counts_as_no_credentials(account, phone):
    p = phone(account())
    answer = p.register(headers=[("Authorization", "NoOneKnowsThisScheme opaque-data=here")], auth=False)
    assert answer.code == 401


def test_without_qop_a_nonce_serves_once(account, phone):
    p = phone(account())
    challenge = p.exchange(p.build("REGISTER", f"sip:{p.domain}")).get("www-authenticate")
    change = {"qop": None, "nc": None, "cnonce": None}
    authorization = digest(challenge, "REGISTER", f"sip:{p.domain}", p.username, p.password, change=change)
    assert p.register(headers=[("Authorization", authorization)], auth=False).code == 200
    assert p.register(headers=[("Authorization", authorization)], auth=False).code == 401


@pytest.mark.parametrize("uri,code", [
    ("sip:a@224.0.1.75", 403), ("sip:a@255.255.255.255:5060", 403), ("sip:a@169.254.1.1", 403), ("sip:a@[ff02::1]", 403),
    ("sip:a@0.0.0.0", 403), ("sip:a@127.0.0.1:16191;maddr=224.0.1.75", 403), ("mailto:a@example.net", 400),
    ("tel:+15551234", 400), ("sip:", 400), ("sip:a@127.0.0.1:16191?Route=%3Csip:evil%3E", 400),
    ("sip:a%00b@127.0.0.1:16191", 400), ("sip:a b@127.0.0.1:16191", 400)])
def test_what_may_not_be_bound_is_refused(account, phone, logins, uri, code):
    alice = account()
    assert phone(alice).register(contacts=[f"<{uri}>"]).code == code
    assert not logins(alice)


def test_the_agents_own_address_may_not_be_bound(account, phone, system, logins):
    alice = account()
    assert phone(alice).register(contacts=[f"<sip:a@{system.sip_host}:{system.sip_port}>"]).code == 403
    assert not logins(alice)


@pytest.mark.parametrize("value", [
    "<sip:a@127.0.0.1:16191>;q=1.5", "<sip:a@127.0.0.1:16191>;q=a", "<sip:a@127.0.0.1:16191", '"a <sip:a@127.0.0.1:16191>',
    "sip:a@127.0.0.1:16191?Subject=x", "<sip:a@127.0.0.1:16191>;expires=99999999999", "<sip:a@127.0.0.1:16191>,",
    '<sip:a@127.0.0.1:16191>;+sip.instance="<urn:uuid:1>";reg-id=0'])
def test_a_malformed_contact_is_400(account, phone, logins, value):
    alice = account()
    assert phone(alice).register(contacts=[value]).code == 400
    assert not logins(alice)


def test_another_domain_is_not_served(account, phone):
    p = phone(account())
    assert p.request("REGISTER", "sip:example.org", [("Contact", f"<{p.contact}>")]).code == 403
    assert p.register(sender="sip:a@example.org", to="sip:a@example.org").code == 403


def test_a_path_is_kept_and_told_to_who_supports_it(account, phone, logins):
    alice = account()
    p = phone(alice)
    path = "<sip:edge1.example.net;lr>, <sip:127.0.0.1:16192;lr>"
    answer = p.register(headers=[("Path", path), ("Supported", "outbound, path")])
    assert answer.get("path") == path
    assert logins(alice)[p.contact]["path"] == path
    assert p.register(headers=[("Path", path)]).get("path") is None
    assert p.register(headers=[("Path", "<sip:edge1.example.net;lr>, nonsense<")]).code == 400
    assert p.register(headers=[("Path", "<tel:+15551234>")]).code == 400, "nothing could be sent there"


def test_an_escaped_user_is_the_same_user(account, phone):
    alice = account("alice")
    p = phone(alice)
    escaped = "sip:%61" + alice.email[1:]
    assert p.register(sender=escaped, to=escaped).code == 200


def test_many_phones_register_at_once(account, phone, logins):
    alice = account()
    phones = [phone(alice) for _ in range(8)]
    for p in phones:
        p.send(p.build("REGISTER", f"sip:{p.domain}", [("Contact", f"<{p.contact}>")]))
    for p in phones:
        challenge = p.responses.get(timeout=5).get("www-authenticate")
        p.send(p.build("REGISTER", f"sip:{p.domain}", [
            ("Contact", f"<{p.contact}>"),
            ("Authorization", digest(challenge, "REGISTER", f"sip:{p.domain}", p.username, p.password))]))
    assert [p.responses.get(timeout=5).code for p in phones] == [200] * 8
    assert set(logins(alice)) == {p.contact for p in phones}


def test_a_deleted_credential_is_refused_at_once(account, phone, logins):
    alice = account()
    p = phone(alice)
    assert p.register().code == p.register().code == 200, "the second by what the agent remembers"
    (made,) = alice.request("GET", f"/user/{alice.email}/credential").json()
    assert list(logins(alice)) == [p.contact]
    assert alice.request("DELETE", made["url"]).status_code == 204
    assert not logins(alice), "what it has registered ends with it"
    assert p.register().code == 401
    again = alice.credential()
    p.password = again["password"]
    assert p.register().code == 200, "and another one of the same name is known at once"


def test_a_wrong_password_after_a_right_one_is_a_wrong_one(account, phone):
    p = phone(account())
    assert p.register().code == p.register().code == 200
    right, p.password = p.password, "guess"
    assert p.register().code == 401
    p.password = right
    assert p.register().code == 200


def test_registrations_that_come_together_are_all_seen(account, phone, logins, until):
    """Watched and not, refreshed and new: what shares a commit is told of as what does not."""
    alice, bob = account("alice"), account("bob")
    phones = [phone(a) for a in (alice, bob) for _ in range(4)]
    with alice.system.request("GET", alice.login + "?stream", headers=alice.headers, stream=True) as stream:
        lines = (json.loads(line) for line in stream.iter_lines() if line.strip())
        assert next(lines)["event"] == "state"
        for _ in range(3):
            raws = [p.build("REGISTER", f"sip:{p.domain}", [("Contact", f"<{p.contact}>")]) for p in phones]
            for p, raw in zip(phones, raws):
                p.send(raw)
            for p in phones:
                challenge = p.responses.get(timeout=5).get("www-authenticate")
                p.send(p.build("REGISTER", f"sip:{p.domain}", [
                    ("Contact", f"<{p.contact}>"),
                    ("Authorization", digest(challenge, "REGISTER", f"sip:{p.domain}", p.username, p.password))]))
            assert [p.responses.get(timeout=5).code for p in phones] == [200] * 8
        mine = {p.contact for p in phones[:4]}
        assert mine <= {c["contact"] for c in next(
            e["data"] for e in lines if mine <= {c["contact"] for c in e["data"]})}
    assert set(logins(bob)) == {p.contact for p in phones[4:]}


def test_parameters_that_differ_make_another_contact(account, phone, logins):
    """RFC 3261, section 19.1.4: they may be missing on one side, but not differ."""
    alice = account("alice")
    p = phone(alice)

    def bound(*params):
        return {f"{p.contact}{more}" for more in params} == set(logins(alice))

    def register(more, **options):
        assert p.register(contacts=[f"<{p.contact}{more}>"], **options).code == 200

    register(";line=1")
    register(";line=2")
    assert bound(";line=1", ";line=2")
    register(";LINE=1;ob")
    assert bound(";LINE=1;ob", ";line=2")
    register(";x=%41;line=2")
    assert bound(";LINE=1;ob", ";x=%41;line=2")
    answer = alice.request("POST", alice.login, json={"contact": f"{p.contact};line=2;y"})
    assert answer.status_code == 200, "by REST too"
    assert bound(";LINE=1;ob", ";line=2;y")
    register(";line=3", expires=0)
    assert bound(";LINE=1;ob", ";line=2;y")
    register(";line=1", expires=0)
    assert bound(";line=2;y")
    register("")
    assert bound("")
    register(";line=4", expires=0)
    assert bound()

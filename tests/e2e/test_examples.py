"""The examples of web/openapi.json: each operation has one, and each is sent as it stands there, and answered as it says.

Where an example needs something to be there, a function below of the operation's name makes it. The document's people
(alice@example.net, bob@example.net) are accounts of the test's own, its numbers those of what was made.
"""
import json
import re

import pytest

from stream_client import Stream
from stream_steps import register, send
from test_openapi import DOCUMENT, METHODS, resolve

OPERATIONS = {operation["operationId"]: (path, method.upper(), operation)
              for path, item in DOCUMENT["paths"].items() for method, operation in item.items() if method in METHODS}
LIVE = {"text/event-stream", "application/x-ndjson"}


def examples(media):
    """{name: value} of a media type object."""
    if "example" in media:
        return {"": media["example"]}
    return {name: example["value"] for name, example in media.get("examples", {}).items()}


def success(operation):
    """The status that an operation has where it goes well, the usual one first: of a POST that makes something 201, and 202
    only where nothing is done at once; of a SEND 202, for 204 is of what is no message."""
    codes = [int(code) for code in operation["responses"] if code < "300" and code != "206"]
    return sorted(codes, key=lambda code: (code == 204 and 202 in codes, code == 202, -code))


class Stage:
    """What an example is sent on."""

    def __init__(self, account):
        self.alice, self.bob = account("alice"), account("bob")
        self.caller, self.auth = self.alice, None
        self.n, self.call = 1, 101

    def text(self, example):
        """With the test's own people."""
        return example.replace("alice@example.net", self.alice.email).replace("bob@example.net", self.bob.email)

    def body(self, kind, example):
        return kind and self.text(json.dumps(example) if kind.endswith("json") else example).encode()

    def path(self, path, operation, item):
        given = [resolve(p) for p in item.get("parameters", []) + operation.get("parameters", [])]
        needed = [p for p in given if p.get("required")]
        for p in needed:
            assert "example" in p, f"{p['name']} has no example"
        path = re.sub(r"{(\w+)}", lambda m: str({"email": self.alice.email, "n": self.n, "call": self.call}[m[1]]), path)
        query = [(p["name"], one) for p in needed if p["in"] == "query"
                 for one in (p["example"] if isinstance(p["example"], list) else [p["example"]])]
        return path + ("?" + "&".join(f"{name}={self.text(one)}" for name, one in query) if query else "")

    def send(self, method, path, headers, data):
        if self.caller is None or self.auth:
            return self.alice.system.request(method, path, headers=headers, data=data, auth=self.auth)
        return self.caller.request(method, path, headers=headers, data=data)

    # ---- what has to be there ----

    def mail(self):
        made = self.bob.request("POST", f"/user/{self.alice.email}/messages", json={"text": "call me back"})
        self.n = made.json()["id"]

    def contact(self):
        self.n = register(self.alice, "sip:alice@192.0.2.1:5060")["id"]

    def sent(self):
        self.n = send(self.bob, self.alice, "hello")["id"]
        self.caller = self.bob

    def conference(self):
        self.call = self.alice.request("POST", "/call", json={"subject": "lunch"}).json()["id"]

    def part(self):
        self.conference()
        made = self.bob.request("POST", f"/call/{self.call}", json={"session": {"sdp": "v=0"}})
        assert made.status_code == 201, made.text
        self.n, self.caller = made.json()["id"], self.bob


def sign_up(stage):
    assert stage.alice.request("DELETE", "/user/me").status_code == 204
    stage.alice.system.query_owner("delete from app.email_rest where email = %s returning 1", (stage.alice.email,))
    stage.caller = None


def with_password(stage):
    stage.caller, stage.auth = None, stage.alice.auth


def with_credential(stage):
    stage.n = stage.alice.credential("desk phone")["id"]


def send_to_contact(stage):
    stage.contact()
    stage.caller = stage.bob


def join(stage):
    stage.conference()
    register(stage.bob, "sip:bob@192.0.2.2:5060")
    stage.caller = stage.bob


def look_on(stage):
    stage.contact()
    stage.conference()


def miss_call(stage):
    assert stage.alice.request("POST", stage.alice.login, json={"lifetime": "stream"}).status_code == 201
    call = stage.bob.request("POST", "/call", json={"open": False, "invite": [stage.alice.login]})
    assert call.status_code == 201 and stage.bob.request("DELETE", call.json()["url"]).status_code == 204


def leave_message(stage):
    stage.caller = stage.bob


SETUPS = {
    "signUp": sign_up, "createSession": with_password, "createCredential": with_password, "listCredentials": with_credential,
    "getCredential": with_credential, "deleteCredential": with_credential, "leaveMessage": leave_message, "listMessages": Stage.mail,
    "getMessage": Stage.mail, "patchMessage": Stage.mail, "deleteMessage": Stage.mail, "listLogins": Stage.contact,
    "getLogin": Stage.contact, "unregisterAll": Stage.contact, "getContactOrSent": Stage.contact, "refresh": Stage.contact,
    "unregister": Stage.contact, "traceSent": Stage.sent, "send": leave_message, "sendToContact": send_to_contact,
    "cancel": Stage.sent, "listCalls": Stage.conference, "listPastCalls": miss_call, "getCall": Stage.part, "traceCall": Stage.conference, "joinCall": join, "patchCall": Stage.conference,
    "endCall": Stage.conference, "getParticipant": Stage.part, "putParticipant": Stage.part, "leaveCall": Stage.part,
    "watch": look_on,
}


def shape(value):
    """What of a value an example is to have in common with an answer: names, and types; of an array its first."""
    if isinstance(value, dict):
        return {name: shape(v) for name, v in value.items()}
    if isinstance(value, list):
        return [shape(v) for v in value[:1]]
    return "number" if isinstance(value, (int, float)) and not isinstance(value, bool) else type(value).__name__


def as_list_items(value, example):
    """Of lists that others are in too: an item that looks like the example's, if there is one."""
    return [next((v for v in value if shape(v) == shape(example[0])), value[0])] if example and value else value


@pytest.fixture(name="stage")
def fixture_stage(account):
    return Stage(account)


def requests_of(operation):
    """(media type, body) of each example that can be sent; without a body one."""
    content = operation.get("requestBody", {}).get("content", {})
    return [(kind.replace("*/*", "text/plain").replace("/*", "/ogg"), body)
            for kind, media in content.items() for body in examples(media).values()] or [(None, None)]


def answers_of(operation):
    """Media types of what comes back, with examples; streams are another test's."""
    content = operation["responses"][str(success(operation)[0])].get("content", {})
    return [(kind, example) for kind, media in content.items() if kind not in LIVE for example in examples(media).values()]


def test_what_is_not_one_operations_is_explained():
    text = DOCUMENT["info"]["description"]
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == [
        "How to read this", "Streams", "Lifetime", "Presence", "Mail as text", "Own members"]
    for event in ("state", "change", "put", "remove", "message", "gone", "end"):
        assert re.search(rf"^(`\w+`, )?`{event}`", text, re.MULTILINE), event


@pytest.mark.parametrize("name", OPERATIONS)
def test_it_is_described_with_an_example(name):
    path, _, operation = OPERATIONS[name]
    assert operation.get("description") and operation["summary"], f"{name} has no description"
    for kind, media in operation.get("requestBody", {}).get("content", {}).items():
        assert examples(media), f"{name} takes {kind}, without an example"
    content = operation["responses"][str(success(operation)[0])].get("content", {})
    for kind in ("application/json", *LIVE):
        assert kind not in content or examples(content[kind]), f"{name} answers {kind}, without an example"
    for p in map(resolve, DOCUMENT["paths"][path].get("parameters", []) + operation.get("parameters", [])):
        assert p.get("description") or p["in"] == "path", f"{name} has a {p['name']} that nobody explains"


CASES = [(name, kind, body) for name, (_, _, operation) in OPERATIONS.items() for kind, body in requests_of(operation)]


@pytest.mark.parametrize("name, kind, body", CASES, ids=[f"{name}-{kind}" for name, kind, _ in CASES])
def test_it_is_answered_as_it_says(stage, name, kind, body):
    template, method, operation = OPERATIONS[name]
    if name in SETUPS:
        SETUPS[name](stage)
    if not any("basic" in s or "bearer" in s for s in operation["security"]):
        stage.caller = None
    path = stage.path(template, operation, DOCUMENT["paths"][template])
    if name == "watch":
        path += "&wait=0"  # one answer: its streams are the next test's
    known = answers_of(operation)
    expected = {success(operation)[0]} if known or len(success(operation)) == 1 else {*success(operation)}
    accepts = [accept for accept, _ in known] if method == "GET" and known else [None]
    for accept in accepts:
        headers = {**({"Content-Type": kind} if kind else {}), **({"Accept": accept} if accept and "*" not in accept else {})}
        answer = stage.send(method, path, headers, stage.body(kind, body))
        assert answer.status_code in expected, (path, answer.status_code, answer.text)
        is_like(answer, known, accept)


def is_like(answer, known, accept):
    kind = answer.headers.get("Content-Type", "").split(";")[0]
    like = [example for media, example in known if media == (accept or kind)]
    if accept and "*" not in accept:
        assert kind == accept.split(";")[0]
    if not kind.endswith("json"):
        return
    body = answer.json()
    shapes = [shape(example) for example in like]
    lists = [example for example in like if isinstance(example, list)]
    if isinstance(body, list) and lists:
        assert body, "there is nothing to be compared"
        body = as_list_items(body, lists[0])
    assert shape(body) in shapes, f"{json.dumps(body)} is not like {json.dumps(like)}"


STREAMS = [name for name, (_, _, operation) in OPERATIONS.items()
           if LIVE & {*operation["responses"].get("200", {}).get("content", {})}]


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_begins_as_it_says(stage, name):
    template, _, operation = OPERATIONS[name]
    if name in SETUPS:
        SETUPS[name](stage)
    path = stage.path(template, operation, DOCUMENT["paths"][template])
    content = operation["responses"]["200"]["content"]
    sse, = examples(content["text/event-stream"]).values()
    lines, = examples(content["application/x-ndjson"]).values()
    said = re.match(r"event: (\S+)\nid: (\S+)\ndata: (.*)\n\n", sse)
    as_line = json.loads(lines.splitlines()[0])
    assert (as_line["event"], as_line["id"], as_line["data"]) == (said[1], said[2], json.loads(said[3]))
    for is_sse in (True, False):
        stream = Stream(stage.alice.system, path, token=stage.caller.token(), sse=is_sse)
        first = stream.wait(said[1])
        stream.close()
        data, like = first.data, as_line["data"]
        if isinstance(data, list) and like:
            data = as_list_items(data, like)
        assert shape(data) == shape(like), (data, like)
        assert re.fullmatch(re.sub(r"\d+", r"\\d+", re.escape(said[2])), first.id), (first.id, said[2])

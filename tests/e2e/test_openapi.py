"""The interface's description, web/openapi.json, against the routes and against what was answered in this run."""
import json
import os
import pathlib
import posixpath
import re
import subprocess
import sys

import jsonschema
import pytest
import requests

from record import recorded

sys.set_int_max_str_digits(0)  # numbers of a profile may be long
TOP = pathlib.Path(__file__).resolve().parents[2]
DOCUMENT = json.loads((TOP / "web/openapi.json").read_text())
METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}

# OpenAPI has no SEND and CANCEL: these stand for them.
ALIASES = {
    ("SEND", "/login/{email}"): ("POST", "/login/{email}/messages"),
    ("SEND", "/login/{email}/{n}"): ("POST", "/login/{email}/{n}/messages"),
    ("CANCEL", "/login/{email}/{n}"): ("DELETE", "/login/{email}/messages/{n}"),
}
# About the interface, not of it.
ABOUT = {("GET", "/openapi.json"), ("GET", "/docs"), ("GET", "/problems/{slug}")}
# What nginx serves of its files, beside the problems' own pages.
PAGES = {"/", "/docs", *(f"/{file.name}" for file in (TOP / "web").iterdir())}
# Any request may meet these of nginx: they are problems too.
NGINX = {408, 414, 431, 502, 504}
TEMPLATES = sorted(DOCUMENT["paths"], key=lambda t: t.count("{"))
RESOLVER = jsonschema.RefResolver("", DOCUMENT)


def described():
    return {(method.upper(), path) for path, item in DOCUMENT["paths"].items() for method in item if method in METHODS}


def routes_and_queries():
    """{(method, path): names of the query}, as the program has them."""
    program = TOP / os.environ.get("BUILD", "build") / "restsip-api"
    if not program.exists():
        pytest.skip(f"there is no {program}")
    out = subprocess.run([program, "--routes"], check=True, capture_output=True, text=True, timeout=10).stdout
    rows = [line.split() for line in out.splitlines()]
    return {(row[0], row[1]): set(row[2:]) for row in rows}


def routes():
    return set(routes_and_queries())


def resolve(node):
    while "$ref" in node:
        target = DOCUMENT
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part.replace("~1", "/").replace("~0", "~")]
        node = target
    return node


def test_it_is_openapi_3_1_and_every_reference_leads_somewhere():
    assert DOCUMENT["openapi"].startswith("3.1")
    found = re.findall(r'"\$ref": ?"([^"]*)"', json.dumps(DOCUMENT))
    assert found
    for ref in found:
        resolve({"$ref": ref})
    for name, schema in DOCUMENT["components"]["schemas"].items():
        jsonschema.Draft202012Validator.check_schema(schema), name


def test_operations_have_names_of_their_own():
    names = [item[m]["operationId"] for item in DOCUMENT["paths"].values() for m in item if m in METHODS]
    assert len(names) == len(set(names))


def test_parameters_of_a_path_are_described():
    for path, item in DOCUMENT["paths"].items():
        for method in item.keys() & METHODS:
            given = item.get("parameters", []) + item[method].get("parameters", [])
            names = {p["name"] for p in map(resolve, given) if p["in"] == "path"}
            assert names == set(re.findall(r"{(\w+)}", path)), (method, path)


def test_every_route_is_described():
    missing = {ALIASES.get(route, route) for route in routes()} - described() - ABOUT
    assert not missing


def test_parameters_of_each_query_are_described():
    for route, names in routes_and_queries().items():
        if route in ABOUT:
            continue
        method, path = ALIASES.get(route, route)
        item = DOCUMENT["paths"][path]
        given = item.get("parameters", []) + item[method.lower()].get("parameters", [])
        assert names == {p["name"] for p in map(resolve, given) if p["in"] == "query"}, route


def test_everything_described_is_a_route():
    assert not described() - routes()


def test_the_page_needs_nothing_from_elsewhere(system):
    answer = requests.get(system.url + "/docs", timeout=20)
    assert answer.status_code == 200 and answer.headers["Content-Type"].startswith("text/html")
    assert answer.content == (TOP / "web/docs.html").read_bytes()
    text = answer.content.decode()
    for path in ("/docs.js", "/docs.css"):
        answer = requests.get(system.url + path, timeout=20)
        assert answer.status_code == 200
        text += answer.content.decode()
    assert set(re.findall(r"""(?:src|href)=["']([^"']*)|fetch\(["']([^"']*)|(?:from|import)\s*\(?["']([^"']*)|url\(([^)]*)""",
                          text)) == {("/openapi.json", "", "", ""), ("", "/openapi.json", "", ""), ("/docs.js", "", "", ""),
                                     ("/docs.css", "", "", ""), ("/icon.svg", "", "", "")}
    assert "//" not in re.sub(r"(?m)^\s*//.*", "", text)
    assert requests.get(system.url + "/openapi.json", timeout=20).json() == DOCUMENT


def template_of(method, path):
    """The operation that an answer belongs to, or None."""
    # `.` and `..` never leave the client
    segments = posixpath.normpath(path.split("?")[0]).split("/")[1:]
    if segments and segments[-1] == "":
        segments.pop()
    segments = ["messages" if s == "message" else s for s in segments]
    for template in TEMPLATES:
        parts = template.split("/")[1:]
        if len(parts) == len(segments) and all(
                p == s or p in ("{email}",) or p in ("{n}", "{call}") and s.isdigit()
                for p, s in zip(parts, segments)):
            method, template = ALIASES.get((method, template), (method, template))
            operation = DOCUMENT["paths"][template].get("get" if method == "HEAD" else method.lower())
            if operation:
                return operation
    return None


def wrong_with(answer):
    """Why an answer is none that the description has, or None."""
    operation = template_of(answer["method"], answer["path"])
    path = answer["path"].split("?")[0]
    if answer["method"] == "OPTIONS" or path in PAGES or path.startswith("/problems/"):
        return None
    if operation is None:
        return None if answer["status"] in {400, 404, 405} | NGINX else "there is no such operation"
    response = operation["responses"].get(str(answer["status"]))
    if answer["status"] in NGINX:
        response = {"$ref": "#/components/responses/BadRequest"}
    if response is None:
        return "this status is not described"
    content = resolve(response).get("content", {})
    kind = (answer["type"] or "").split(";")[0]
    if not content or answer["method"] == "HEAD":
        return f"a {kind} body is not described" if answer["body"] else None
    media = content.get(kind) or content.get(kind.split("/")[0] + "/*") or content.get("*/*")
    if media is None:
        return f"{kind} is not described"
    if answer["body"] is None or "schema" not in media:
        return None
    validator = jsonschema.Draft202012Validator(media["schema"], resolver=RESOLVER)
    error = jsonschema.exceptions.best_match(validator.iter_errors(json.loads(answer["body"])))
    return error and f"{error.json_path}: {error.message}"


@pytest.mark.last
def test_every_answer_of_this_run_is_as_described():
    answers = recorded()
    if not answers:
        pytest.skip("nothing was asked in this run")
    wrong = {}
    for answer in answers:
        if answer["path"].startswith("/"):
            why = wrong_with(answer)
            if why:
                key = (answer["method"], answer["status"], why)
                wrong.setdefault(key, f"{answer['path'][:200]} {(answer['body'] or '')[:300]}")
    assert not wrong, "\n".join(f"{key}: {sample}" for key, sample in sorted(wrong.items(), key=str))

"""A login service in memory, as one would write it in Flask: what the HTTP figures are held against."""
import itertools
import time

from flask import Flask, jsonify, request

app = Flask(__name__)
logins, ids = {}, itertools.count(1)


@app.post("/login/<email>")
def register(email):
    contact = request.get_json()["contact"]
    known = logins.setdefault(email, {})
    entry = known.setdefault(contact, {"id": next(ids), "contact": contact})
    entry["expires"] = 3600
    entry["at"] = time.time()
    return jsonify(url=f"/login/{email}", id=entry["id"], expires=3600), 201


@app.get("/login/<email>")
def contacts(email):
    return jsonify(list(logins.get(email, {}).values()))

"""Applies a JSON Patch (RFC 6902): add, remove and replace, and strictly."""
import copy


def _steps(pointer):
    assert pointer == "" or pointer.startswith("/"), pointer
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]


def _place(parent, step, add):
    """The key or index of a step; it must be there, or where something can be added."""
    if isinstance(parent, list):
        assert step.isdecimal() and str(int(step)) == step, step
        assert int(step) < len(parent) + add, (parent, step)
        return int(step)
    assert add or step in parent, (parent, step)
    return step


def apply(doc, patch):
    """What becomes of a document, which stays as it is."""
    doc = copy.deepcopy(doc)
    for op in patch:
        steps = _steps(op["path"])
        if not steps:
            assert op["op"] in ("add", "replace")
            doc = copy.deepcopy(op["value"])
            continue
        parent = doc
        for step in steps[:-1]:
            parent = parent[_place(parent, step, False)]
        at = _place(parent, steps[-1], op["op"] == "add")
        if op["op"] == "remove":
            del parent[at]
        elif op["op"] == "add" and isinstance(parent, list):
            parent.insert(at, copy.deepcopy(op["value"]))
        else:
            assert op["op"] in ("add", "replace"), op
            parent[at] = copy.deepcopy(op["value"])
    return doc


def follow(events, doc=None):
    """What a client of ?updates=diff has after these events."""
    for event in events:
        if event.name == "state":
            doc = event.data
        elif event.name == "change":
            doc = apply(doc, event.data)
    return doc

#!/usr/bin/python3
"""Pages in calls, to be killed: pages.py URL, and on standard input a JSON array of [token, path of a call].

Each joins with `lifetime` stream and keeps a stream of the call open. It says `there` once all have, and waits.
"""
import concurrent.futures
import http.client
import json
import sys
import threading


def page(host, token, path, streams):
    head = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Accept": "application/x-ndjson"}
    http_ = http.client.HTTPConnection(host, timeout=60)
    http_.request("GET", path, headers=head)
    answer = http_.getresponse()
    assert answer.status == 200 and answer.readline()
    streams.append((http_, answer))
    join = http.client.HTTPConnection(host, timeout=60)
    join.request("POST", path, json.dumps({"lifetime": "stream"}), head)
    answer = join.getresponse()
    assert answer.status == 201, answer.read()


def main():
    streams = []
    host = sys.argv[1].removeprefix("http://")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for one in [pool.submit(page, host, *who, streams) for who in json.loads(sys.stdin.readline())]:
            one.result()
    print("there", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()

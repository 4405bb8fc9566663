#!/usr/bin/env python3
"""What the fake DQE received, by its journal: a line for each business call,
`METHOD TARGET BODY`, with {token} for the token; equal neighbours are one line.

received.py CONTROL-URL [PATH-OF-THE-RENEWED]

Fails when a call does not carry exactly one live token in exactly one
Authorization field, or breaks another rule, or when all calls of
PATH-OF-THE-RENEWED (/TEL/) carry the same token: then no renewal fell
between them and the run shows nothing.
"""

import json
import re
import sys
import urllib.request

control = sys.argv[1]
renewed = sys.argv[2] if len(sys.argv) > 2 else "/TEL/"
with urllib.request.urlopen(control + "/journal?after=0", timeout=10) as answer:
    calls = [call for call in json.load(answer) if not call["token_endpoint"]]

for call in calls:
    bearers = [value for name, value in call["headers"] if name.lower() == "authorization"]
    assert len(bearers) == 1 and bearers[0].startswith("Bearer TK"), call
    assert {one["kind"] for one in call["credentials"]} == {"live"}, call
    assert call["violations"] == [], call

tokens = {
    call["credentials"][0]["generation"]
    for call in calls
    if call["target"].startswith(renewed)
}
assert len(tokens) >= 2, f"no renewal between the calls of {renewed}: {tokens}"

previous = None
for call in calls:
    line = f"{call['method']} {call['target']} {call['body']}".rstrip()
    # The journal shows the first eight characters of a token.
    line = re.sub(r"\bTK[^&\s]{6}…", "{token}", line)
    if line != previous:
        print(line)
    previous = line

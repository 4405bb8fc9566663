"""Python connectors: requests as most of them use it, and urllib.

python.py BASE BASE-WITHOUT-A-TOKEN
"""

import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import requests

base, down = sys.argv[1:]
# A connector's habit: one second to connect, one to read.
timeout = (1, 1)

# The parameters in a dictionary, the licence of old among them.
answer = requests.get(
    base + "/RNVP/",
    params={"Adresse": "|10 rue de la république||01500|Ambérieu-en-Bugey", "Pays": "FRA", "Licence": "OURS"},
    timeout=timeout,
)
assert answer.ok and answer.json()["1"]["Voie"] == "DE LA REPUBLIQUE", answer.text

# The URL written out, accents, spaces and pipes as they are.
answer = requests.get(base + "/SINGLEV2/?Adresse=10 rue de la république&Pays=FRA&Licence=", timeout=timeout)
assert answer.json()["1"]["Voie"] == "RUE DE LA REPUBLIQUE", answer.text

answer = requests.post(
    base + "/TEL/", data={"Tel": "+33 6 12 34 56 78", "licence": "OURS", "Pays": "FRA"}, timeout=timeout
)
assert answer.json()["1"]["TelOrigine"] == "+33 6 12 34 56 78", answer.text

answer = requests.post(base + "/v1/phone/lookup", json={"phone": "0612345678", "country": "FRA"}, timeout=timeout)
assert answer.json()["Phones"][0]["Type"] == "MOBILE", answer.text
answer = requests.post(base + "/v1/email/lookup", json={"email": "hélène@gmail.com"}, timeout=timeout)
assert answer.ok and "IdError" in answer.text, answer.text

# urllib, in the encoding of the pages of before.
query = urllib.parse.urlencode({"Firstname": "hélène", "Licence": "OURS"}, encoding="latin-1")
with urllib.request.urlopen(f"{base}/FIRSTNAMESUGGEST/?{query}", timeout=1) as page:
    assert "suggest" in json.load(page)
form = urllib.parse.urlencode({"Email": "jean.dupont%40gmail.com", "Licence": "OURS"}).encode()
with urllib.request.urlopen(base + "/DQEEMAILLOOKUP/", form, timeout=1) as page:
    assert page.headers.get_content_type() == "application/json"
    assert json.load(page)["1"]["IdError"] == "00"

# What its error handling sees.
answer = requests.head(base + "/TEL/", params={"Tel": "0612345678"}, timeout=timeout)
assert answer.ok and answer.content == b"" and int(answer.headers["Content-Length"]) > 100, answer.headers
answer = requests.get(base + "/NOSUCH/", timeout=timeout)
assert answer.status_code == 404 and answer.json()["code"] == "route_not_found", answer.text
answer = requests.get(down + "/TEL/", params={"Tel": "0612345678"}, timeout=timeout)
assert answer.status_code == 503 and answer.json()["code"] == "token_unavailable", answer.text
assert int(answer.headers["Retry-After"]) > 0
try:
    answer.raise_for_status()
    raise AssertionError("no HTTPError")
except requests.HTTPError:
    pass
try:
    urllib.request.urlopen(down + "/TEL/?Tel=0612345678", timeout=1)
    raise AssertionError("no HTTPError")
except urllib.error.HTTPError as error:
    assert error.code == 503 and json.load(error)["code"] == "token_unavailable"

# A batch over one session: its connection is kept, its token changes.
calls = 0
end = time.monotonic() + 2.5
with requests.Session() as session:
    while time.monotonic() < end:
        answer = session.get(base + "/TEL/", params={"Tel": "0612345678", "Pays": "FRA"}, timeout=timeout)
        assert answer.status_code == 200 and answer.json()["1"]["Type"] == "MOBILE", answer.text
        calls += 1
        time.sleep(0.02)
version = ".".join(map(str, sys.version_info[:3]))
print(f"Python {version}: requests {requests.__version__}, urllib, {calls} calls on a kept connection")

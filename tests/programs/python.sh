#!/usr/bin/env bash
# Python connectors, with requests and with urllib.
# needs: curl /usr/bin/python3 python3:requests
source "$(dirname "$0")/clients.bash"
check_client 11 "$python" "$clients/python.py" <<'END'
GET /RNVP/?Adresse=%7C10+rue+de+la+r%C3%A9publique%7C%7C01500%7CAmb%C3%A9rieu-en-Bugey&Pays=FRA&Licence={token}
GET /SINGLEV2/?Adresse=10%20rue%20de%20la%20r%C3%A9publique&Pays=FRA&Licence={token}
POST /TEL/ Tel=%2B33+6+12+34+56+78&Licence={token}&Pays=FRA
POST /v1/phone/lookup {"phone": "0612345678", "country": "FRA"}
POST /v1/email/lookup {"email": "h\u00e9l\u00e8ne@gmail.com"}
GET /FIRSTNAMESUGGEST/?Firstname=h%E9l%E8ne&Licence={token}
POST /DQEEMAILLOOKUP/ Email=jean.dupont%2540gmail.com&Licence={token}
HEAD /TEL/?Tel=0612345678&Licence={token}
GET /TEL/?Tel=0612345678&Pays=FRA&Licence={token}
END

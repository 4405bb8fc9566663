#!/usr/bin/env bash
# Node services, with fetch and with http.get.
# needs: curl node /usr/bin/python3
source "$(dirname "$0")/clients.bash"
check_client 4 node "$clients/node.mjs" <<'END'
GET /SINGLEV2/?Adresse=10%20rue%20de%20la%20r%C3%A9publique&Pays=FRA&Licence={token}
GET /RNVP/?Adresse=%7C10+rue+de+la+r%C3%A9publique%7C%7C01500%7CAmb%C3%A9rieu-en-Bugey&Pays=FRA&Licence={token}
POST /TEL/ Licence={token}&Tel=%2B33+6+12+34+56+78
POST /v1/phone/lookup {"phone":"0612345678","country":"FRA"}
POST /v1/email/lookup {"email":"hélène@gmail.com"}
HEAD /TEL/?Tel=0612345678&Licence={token}
GET /DQEEMAILLOOKUP/?Email=jean.dupont%2540gmail.com&Rectify=1&Licence={token}
GET /TEL/?Tel=0612345678&Pays=FRA&Licence={token}
END

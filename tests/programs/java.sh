#!/usr/bin/env bash
# Java back ends, with HttpURLConnection and with Java 11's HttpClient.
# needs: curl javac /usr/bin/python3
source "$(dirname "$0")/clients.bash"
curl -sS -o /dev/null -d 'path=/NUM/:slow=3s' "$control/faults"
check_client 6 java "$clients/Java.java" <<'END'
GET /RNVP/?Adresse=%7C10+rue+de+la+r%C3%A9publique%7C%7C01500%7CAmb%C3%A9rieu-en-Bugey&Pays=FRA&Licence={token}&Modification=O
GET /SINGLEV2/?Adresse=10%20rue%20de%20la%20r%C3%A9publique&Pays=FRA&Licence={token}
POST /TEL/ Tel=%2B33+6+12+34+56+78&Licence={token}&Pays=FRA
HEAD /TEL/?Tel=0612345678&Licence={token}
GET /NUM/?IDVoie=751207837&Pays=FRA&Licence={token}
POST /v1/phone/lookup {"phone":"0612345678","country":"FRA"}
POST /v1/email/lookup {"email":"hélène@gmail.com"}
GET /LASTNAMESUGGEST/?Lastname=dupont&Licence={token}
GET /TEL/?Tel=0612345678&Pays=FRA&Licence={token}
END
[ "$(counter abandoned)" = 1 ] || fail "the call that Java gave up was not ended"

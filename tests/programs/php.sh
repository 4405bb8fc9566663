#!/usr/bin/env bash
# PHP pages, with curl and with file_get_contents.
# needs: curl php php:curl /usr/bin/python3
source "$(dirname "$0")/clients.bash"
check_client 11 php "$clients/php.php" <<'END'
GET /ADR/?Pays=FRA&IDLocalite=01004&Adresse=rue+de+la+r%C3%A9publique&Licence={token}
GET /SINGLEV2/?Licence={token}&Adresse=10%20rue%20de%20la%20r%C3%A9publique&Pays=FRA
POST /RNVP/ Adresse=%7C5+rue+des+pyr%C3%A9n%C3%A9es%7C%7C75020%7CPARIS&Pays=FRA&Licence={token}&Modification=O
POST /v1/phone/lookup {"country":"FRA","phone":"06 12 34 56 78"}
POST /v1/email/lookup {"email":"h\u00e9l\u00e8ne.dupont@gmail.com","checkUser":false}
GET /DQEEMAILLOOKUP/?Email=jean.dupont%2B%C3%A9t%C3%A9%40gmail.com&Rectify=1&Licence={token}
POST /LASTNAMESUGGEST/ Licence={token}&Lastname=dupont
HEAD /TEL/?Tel=0612345678&Licence={token}
GET /TEL/?Tel=%2B33+6+12+34+56+78&Pays=FRA&Licence={token}
END

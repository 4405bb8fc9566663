#!/usr/bin/env bash
# Perl jobs, with LWP.
# needs: curl perl:LWP /usr/bin/python3
source "$(dirname "$0")/clients.bash"
check_client 9 perl "$clients/perl.pl" <<'END'
GET /RNVP/?Adresse=%7C10+rue+de+la+r%C3%A9publique%7C%7C01500%7CAmb%C3%A9rieu-en-Bugey&Pays=FRA&Licence={token}
GET /TEL/?Tel=+33%206%2012%2034%2056%2078&Licence={token}&Pays=FRA
POST /DQEEMAILLOOKUP/ Email=jean.dupont%2Btest%40gmail.com&Licence={token}
POST /v1/phone/lookup {"country":"FRA","phone":"0612345678"}
POST /v1/email/lookup {"email":"hélène@gmail.com"}
HEAD /TEL/?Tel=0612345678&Licence={token}
GET /TEL/?Tel=0612345678&Licence={token}
END

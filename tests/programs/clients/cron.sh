#!/usr/bin/env bash
# Cron jobs: curl, as old as HTTP/1.0, and wget.
#   cron.sh BASE BASE-WITHOUT-A-TOKEN
set -euo pipefail
base=$1
down=$2

expect() { # WHAT WORD ANSWER
    grep -q -- "$2" <<<"$3" || { echo "$1 without $2: $3"; exit 1; }
}

expect RNVP '"Voie":"DE LA REPUBLIQUE"' "$(curl -sS --http1.0 \
    "$base/RNVP/?Adresse=%7c10+rue+de+la+r%C3%A9publique||01500|Amb%C3%A9rieu-en-Bugey&Pays=FRA&Licence=OURS")"
expect TEL '"TelOrigine":"+33 6 12 34 56 78"' "$(curl -sS --http1.0 -d 'Licence=OURS&Tel=%2B33 6 12 34 56 78' "$base/TEL/")"
expect SINGLEV2 '"Voie":"RUE DE LA REPUBLIQUE"' "$(wget -qO- "$base/SINGLEV2/?Adresse=10 rue de la r%C3%A9publique&Pays=FRA&Licence=")"
expect DQEEMAILLOOKUP '"IdError":"00"' "$(wget -qO- --post-data 'Email=jean.dupont%2540gmail.com&licence=OURS' "$base/DQEEMAILLOOKUP/")"
expect phone/lookup MOBILE "$(curl -sS -H 'Content-Type: application/json' -d '{"phone":"0612345678","country":"FRA"}' "$base/v1/phone/lookup")"
expect email/lookup IdError "$(wget -qO- --header 'Content-Type: application/json' --post-data '{"email":"hélène@gmail.com"}' "$base/v1/email/lookup")"

# What their error handling sees.
expect HEAD '200 OK' "$(curl -sS --http1.0 -I "$base/TEL/?Tel=0612345678")"
code=0 && curl -sS -f "$down/TEL/?Tel=0612345678" || code=$?
[ "$code" = 22 ] || { echo "curl -f of a 503: $code"; exit 1; }
expect 503 token_unavailable "$(curl -sS --http1.0 -i "$down/TEL/?Tel=0612345678")"
code=0 && wget -qO- "$base/NOSUCH/" || code=$?
[ "$code" = 8 ] || { echo "wget of a 404: $code"; exit 1; }

# A hundred calls by one curl (what follows # is not sent): the connection is
# kept, the token changes.
answers=$(curl -sS -f --rate 40/s "$base/TEL/?Tel=0612345678&Pays=FRA&Licence=OURS#[1-100]")
[ "$(grep -o '"Type":"MOBILE"' <<<"$answers" | wc -l)" = 100 ] || { echo "TEL: $answers"; exit 1; }
echo "$(curl --version | cut -d' ' -f1,2 | head -n 1) --http1.0, $(wget --version | cut -d' ' -f1-3 | head -n 1), 100 calls on a kept connection"

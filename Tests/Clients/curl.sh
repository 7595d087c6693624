#!/usr/bin/env bash
# curl with its defaults, or with the options before the last three arguments. It keeps a connection within one call: so
# one call creates all sessions, one looks them up and one expires them.
set -euo pipefail
options=("${@:1:$#-3}")
sessions=${*: -3:1} key=${*: -2:1} rounds=${*: -1}

answers() { # OPTION... URL...
    curl --silent --show-error --write-out '\t%{http_code}\t%{time_total}\n' --header "x-api-key: $key" \
        "${options[@]}" "$@"
}

mapfile -t creates < <(for ((round = 0; round < rounds; round++)); do echo "$sessions"; done)
created=$(answers --header 'Content-Type: application/json' \
    --data '{"user_id": "user-1", "redirect_url": "https://your-app.com/callback"}' "${creates[@]}")
printf '%s\n' "$created"
mapfile -t urls < <(sed -nE "s|.*\"link_token\": ?\"([^\"]+)\".*|$sessions/\1|p" <<<"$created")
answers "${urls[@]}"
answers --request POST "${urls[@]/%//expire}"

"""requests with its defaults, on one Session."""
import sys
import time

import requests

sessions, key, rounds = sys.argv[1:]


def answer(method, url, **content):
    start = time.monotonic()
    answer = client.request(method, url, **content)
    print(answer.text, answer.status_code, time.monotonic() - start, sep="\t")
    return answer.json()


with requests.Session() as client:
    client.headers["x-api-key"] = key
    for _ in range(int(rounds)):
        session = answer("POST", sessions, json={"user_id": "user-1", "redirect_url": "https://your-app.com/callback"})
        answer("GET", f"{sessions}/{session['link_token']}")
        answer("POST", f"{sessions}/{session['link_token']}/expire")

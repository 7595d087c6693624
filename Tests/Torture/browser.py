"""What a user's browser does on a session's pages: it signs in at the sandbox's supplier and confirms."""
import base64
import html
import json
import re
from urllib.parse import parse_qs, quote, urlsplit

ORIGIN = "http://127.0.0.1"


class Browser:
    def __init__(self, ask, token):
        """`ask` sends one request as the client does."""
        self.ask, self.token, self.cookies = ask, token, {}

    async def send(self, method, path, form=None):
        headers = ["Accept: text/html", "Accept-Language: en", f"Origin: {ORIGIN}"]
        if self.cookies:
            headers.append("Cookie: " + "; ".join(f"{name}={value}" for name, value in self.cookies.items()))
        answer = await self.ask("browser", method, path, headers=headers, form=form)
        if answer:
            self.cookies.update(cookie.partition(";")[0].split("=", 1) for cookie in answer.cookies)
        return answer

    async def sign_in(self):
        """The code for the manufacturer's backend; `None` where something came between."""
        begun = await self.send("POST", "/ui/sign-ins", {"token": self.token, "supplier": "sandbox"})
        path = begun and goes_to(begun)
        if not path or not path.startswith("/ui/sandbox?"):
            return None
        state = parse_qs(urlsplit(path).query)["state"][0]
        if not await self.send("GET", path):
            return None
        called_back = await self.send("GET", f"/ui/callback/sandbox?state={quote(state)}&code=approve")
        page = called_back and called_back.headers.get("location")
        if not page or not await self.send("GET", page):
            return None
        confirmed = await self.send("POST", page, {})
        back = confirmed and goes_to(confirmed)
        if not back:
            return None
        data = parse_qs(urlsplit(back).query)["data"][0]
        return json.loads(base64.urlsafe_b64decode(data + "=="))["code"]


def goes_to(page):
    found = re.search(r'http-equiv="refresh" content="0;url=([^"]*)"', page.body.decode())
    return found and html.unescape(found[1])

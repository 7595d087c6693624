"""An HTTP/1.1 client for many connections: whatever goes wrong is an unknown outcome."""
import asyncio
import json
from urllib.parse import urlencode


class UnknownOutcome(Exception):
    """Nobody knows whether the request was carried out."""


class Answer:
    def __init__(self, status, headers, cookies, body):
        self.status, self.headers, self.cookies, self.body = status, headers, cookies, body

    @property
    def json(self):
        return json.loads(self.body)


async def request(port, method, path, key=None, body=None, headers=(), seconds=8, form=None):
    """One request on a connection of its own, with a body of JSON or a form."""
    writer = None
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 22)
            payload = b"" if body is None else json.dumps(body).encode()
            if form is not None:
                payload = urlencode(form).encode()
            lines = [f"{method} {path} HTTP/1.1", "Host: torture", "Connection: close", f"Content-Length: {len(payload)}"]
            if key:
                lines.append(f"x-api-key: {key}")
            if body is not None:
                lines.append("Content-Type: application/json")
            if form is not None:
                lines.append("Content-Type: application/x-www-form-urlencoded")
            lines += headers
            writer.write("\r\n".join([*lines, "", ""]).encode() + payload)
            head, _, rest = (await reader.read()).partition(b"\r\n\r\n")
            status, *fields = head.decode().split("\r\n")
            pairs = [(name.lower(), value.strip()) for name, _, value in (field.partition(":") for field in fields)]
            found, cookies = dict(pairs), [value for name, value in pairs if name == "set-cookie"]
            if len(rest) < int(found.get("content-length", 1 << 30)):
                raise UnknownOutcome("cut off")
            return Answer(int(status.split()[1]), found, cookies, rest)
    except (OSError, TimeoutError, ValueError, IndexError, asyncio.IncompleteReadError) as error:
        raise UnknownOutcome(repr(error)) from error
    finally:
        if writer:
            writer.close()

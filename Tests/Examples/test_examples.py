"""Runs the three examples of docs/examples as they are, against a signer and a key set server of its own."""
import base64
import hashlib
import hmac
import json
import os
import secrets
import shutil
import subprocess
import sys
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlencode

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
JOSE = Path("/usr/share/nodejs/jose")  # where Debian's node-jose puts the npm package jose
COMMANDS = {"node": ["node", "verify.mjs"], "python": [sys.executable, "verify.py"], "php": ["php", "verify.php"]}
AUDIENCE = "1"
URL = "https://your-app.com/callback"
KEYS = {"key-1": Ed25519PrivateKey.generate(), "key-2": Ed25519PrivateKey.generate()}
ES256_KEY = ec.generate_private_key(ec.SECP256R1())  # published too, but of an algorithm that no link may have
STRANGER = Ed25519PrivateKey.generate()
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def b64(value):
    if not isinstance(value, bytes):
        value = json.dumps(value, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def raw(key):
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def jwk(kid, key):
    return {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": kid, "x": b64(raw(key))}


def es256_jwk():
    point = ES256_KEY.public_key().public_numbers()
    x, y = (b64(number.to_bytes(32, "big")) for number in (point.x, point.y))
    return {"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "key-es256", "x": x, "y": y}


class KeySetServer(BaseHTTPRequestHandler):
    def do_GET(self):
        found = self.path == "/.well-known/jwks.json"
        keys = [es256_jwk(), *(jwk(*item) for item in KEYS.items())]
        body = json.dumps({"keys": keys} if found else {}).encode()
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="session")
def issuer():
    with ThreadingHTTPServer(("127.0.0.1", 0), KeySetServer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """The three examples, byte for byte, beside a node_modules as npm would lay it."""
    folder = tmp_path_factory.mktemp("examples")
    for _, name in COMMANDS.values():
        shutil.copy(EXAMPLES / name, folder)
    (folder / "node_modules").mkdir()
    (folder / "node_modules" / "jose").symlink_to(JOSE, target_is_directory=True)
    return folder


@pytest.fixture(params=COMMANDS)
def verify(request, folder, issuer):
    def run(url, **changes):
        env = {**os.environ, "ISSUER": issuer, "AUDIENCE": AUDIENCE, **changes}
        env = {name: value for name, value in env.items() if value is not None}
        return subprocess.run([*COMMANDS[request.param], url], cwd=folder, env=env, capture_output=True, text=True, timeout=30)

    return run


def claims_of(issuer, **changes):
    now = int(time.time())
    claims = {
        "status": "completed", "nox_user_id": str(uuid.uuid4()), "manufacturer_user_id": "manufacturer_user_id_123",
        "brand": "acme manufacturing", "supplier": "sandbox", "connected_at": now, "code": secrets.token_urlsafe(32),
        "iss": issuer, "aud": AUDIENCE, "iat": now, "exp": now + 600, "jti": str(uuid.uuid4()), **changes,
    }
    return {name: value for name, value in claims.items() if value is not None}


def sign(claims, kid="key-1", key=KEYS["key-1"], signer=None, **changes):
    """The two query parameters: data, and header..signature."""
    header = {"alg": "EdDSA", "typ": "link-return+jwt", "kid": kid, **changes}
    head = b64({name: value for name, value in header.items() if value is not None})
    data = b64(claims)
    return data, f"{head}..{b64((signer or key.sign)(f'{head}.{data}'.encode()))}"


def link(data, signature):
    return f"{URL}?{urlencode({'data': data, 'signature': signature})}"


def hs256(secret):
    return lambda message: hmac.digest(secret, message, hashlib.sha256)


def es256(message):
    return b"".join(number.to_bytes(32, "big") for number in decode_dss_signature(ES256_KEY.sign(message, ec.ECDSA(SHA256()))))


def swapped(text, position, step=1):
    """The text with the character at a position replaced by another of the alphabet."""
    position %= len(text)
    other = ALPHABET[ALPHABET.index(text[position]) ^ step]
    return text[:position] + other + text[position + 1:]


def changed_data(issuer, position):
    data, signature = sign(claims_of(issuer))
    return link(swapped(data, position), signature)


def changed_signature(issuer, position):
    data, signature = sign(claims_of(issuer))
    return link(data, swapped(signature, position))


def attached(issuer):
    data, signature = sign(claims_of(issuer))
    return link(data, signature.replace("..", f".{data}."))


def other_payload_attached(issuer):
    data, signature = sign(claims_of(issuer))
    return link(sign(claims_of(issuer))[0], signature.replace("..", f".{data}."))


def twice(issuer, first, second, name):
    ours, theirs = sign(claims_of(issuer)), sign(claims_of(issuer, manufacturer_user_id="another"))
    query = {"data": ours[0], "signature": ours[1]}
    other = dict(zip(query, theirs))[name]
    query[name] = [{"ours": query[name], "theirs": other}[which] for which in (first, second)]
    return f"{URL}?{urlencode(query, doseq=True)}"


def x_of_key_1():
    return raw(KEYS["key-1"])


def pem_of_key_1():
    return KEYS["key-1"].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


ACCEPTED = {
    "as sent": lambda data, signature: link(data, signature),
    "a callback with parameters of its own": lambda data, signature: link(data, signature).replace("?", "?state=a%26data&x&"),
    "parameter names and values percent-encoded": lambda data, signature:
        f"{URL}?%64ata={data}&signature=" + "".join(f"%{ord(c):02X}" for c in signature),
    "an app's own scheme": lambda data, signature: link(data, signature).replace(URL, "com.acme.app:/linked"),
}

REJECTED = {
    "data: first character changed": lambda iss: changed_data(iss, 0),
    "data: a middle character changed": lambda iss: changed_data(iss, 60),
    "data: last character changed": lambda iss: changed_data(iss, -1),
    "data: other claims under a right signature": lambda iss:
        link(sign(claims_of(iss, manufacturer_user_id="another"))[0], sign(claims_of(iss))[1]),
    "signature: a header character changed": lambda iss: changed_signature(iss, 3),
    "signature: a middle character changed": lambda iss: changed_signature(iss, -40),
    "signature: last character changed, same bytes": lambda iss: changed_signature(iss, -1),
    "signature: padded": lambda iss: link(*(part + pad for part, pad in zip(sign(claims_of(iss)), ("", "==")))),
    "signature: data between its dots": attached,
    "signature: other data between its dots": other_payload_attached,
    "audience: another": lambda iss: link(*sign(claims_of(iss, aud="2"))),
    "audience: a number": lambda iss: link(*sign(claims_of(iss, aud=1))),
    "audience: missing": lambda iss: link(*sign(claims_of(iss, aud=None))),
    "issuer: another": lambda iss: link(*sign(claims_of("https://other.example"))),
    "issuer: missing": lambda iss: link(*sign(claims_of(None))),
    "typ: JWT": lambda iss: link(*sign(claims_of(iss), typ="JWT")),
    "typ: missing": lambda iss: link(*sign(claims_of(iss), typ=None)),
    "alg: none, no signature": lambda iss: link(*sign(claims_of(iss), alg="none", signer=lambda message: b"")),
    "alg: none, a right signature": lambda iss: link(*sign(claims_of(iss), alg="none")),
    "alg: HS256, secret is the key's bytes": lambda iss: link(*sign(claims_of(iss), alg="HS256", signer=hs256(x_of_key_1()))),
    "alg: HS256, secret is the key's x": lambda iss:
        link(*sign(claims_of(iss), alg="HS256", signer=hs256(b64(x_of_key_1()).encode()))),
    "alg: HS256, secret is the key's PEM": lambda iss: link(*sign(claims_of(iss), alg="HS256", signer=hs256(pem_of_key_1()))),
    "alg: HS256, a right Ed25519 signature": lambda iss: link(*sign(claims_of(iss), alg="HS256")),
    "alg: ES256, a published key": lambda iss: link(*sign(claims_of(iss), kid="key-es256", alg="ES256", signer=es256)),
    "alg: EdDSA, kid of a key for ES256": lambda iss: link(*sign(claims_of(iss), kid="key-es256")),
    "exp: no number": lambda iss: link(*sign(claims_of(iss, exp="never"))),
    "expired a second ago": lambda iss: link(*sign(claims_of(iss, iat=int(time.time()) - 601, exp=int(time.time()) - 1))),
    "expired an hour ago": lambda iss: link(*sign(claims_of(iss, iat=int(time.time()) - 4200, exp=int(time.time()) - 3600))),
    "kid: unknown": lambda iss: link(*sign(claims_of(iss), kid="key-3")),
    "kid: missing": lambda iss: link(*sign(claims_of(iss), kid=None)),
    "kid: another published key's": lambda iss: link(*sign(claims_of(iss), kid="key-2")),
    "key: not published, kid of one that is": lambda iss: link(*sign(claims_of(iss), key=STRANGER)),
    "key: not published, in the header": lambda iss:
        link(*sign(claims_of(iss), kid="key-3", key=STRANGER, jwk=jwk("key-3", STRANGER))),
    "header: an unknown critical member": lambda iss: link(*sign(claims_of(iss), crit=["x\ny"], **{"x\ny": 1})),
    "claims: no object": lambda iss: link(*sign("completed")),
    "code missing": lambda iss: link(*sign(claims_of(iss, code=None))),
    "exp missing": lambda iss: link(*sign(claims_of(iss, exp=None))),
    "iat missing": lambda iss: link(*sign(claims_of(iss, iat=None))),
    "jti missing": lambda iss: link(*sign(claims_of(iss, jti=None))),
    "status missing": lambda iss: link(*sign(claims_of(iss, status=None))),
    "two data, the right one first": lambda iss: twice(iss, "ours", "theirs", "data"),
    "two data, the right one last": lambda iss: twice(iss, "theirs", "ours", "data"),
    "two data, the same": lambda iss: twice(iss, "ours", "ours", "data"),
    "two data, one name percent-encoded": lambda iss: twice(iss, "ours", "theirs", "data").replace("&data=", "&d%61ta="),
    "two data, the second empty": lambda iss: link(*sign(claims_of(iss))) + "&data=",
    "two signatures": lambda iss: twice(iss, "ours", "theirs", "signature"),
    "no data": lambda iss: f"{URL}?{urlencode({'signature': sign(claims_of(iss))[1]})}",
    "no signature": lambda iss: f"{URL}?{urlencode({'data': sign(claims_of(iss))[0]})}",
    "no query": lambda iss: URL,
    "no URL": lambda iss: "",
}


def assert_rejected(done):
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("rejected: ") and done.stderr.endswith("\n") and len(done.stderr.splitlines()) == 1, done.stderr


@pytest.mark.parametrize("kid", KEYS)
@pytest.mark.parametrize("case", ACCEPTED)
def test_accepts(verify, issuer, case, kid):
    claims = claims_of(issuer)
    done = verify(ACCEPTED[case](*sign(claims, kid=kid, key=KEYS[kid])))
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == claims


@pytest.mark.parametrize("status", ["cancelled", "expired", "failed"])
def test_accepts_an_end_that_has_no_code(verify, issuer, status):
    claims = {name: value for name, value in claims_of(issuer, status=status).items()
              if name in ("status", "iss", "aud", "iat", "exp", "jti")}
    done = verify(link(*sign(claims)))
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == claims


@pytest.mark.parametrize("case", REJECTED)
def test_rejects(verify, issuer, case):
    assert_rejected(verify(REJECTED[case](issuer)))


@pytest.mark.parametrize("changes", [
    {"ISSUER": None}, {"ISSUER": ""}, {"AUDIENCE": None}, {"AUDIENCE": ""}, {"ISSUER": "http://127.0.0.1:1"},
], ids=str)
def test_rejects_when_not_set_up(verify, issuer, changes):
    assert_rejected(verify(link(*sign(claims_of(changes.get("ISSUER") or issuer))), **changes))


def test_rejects_when_the_key_set_is_not_found(verify, issuer):
    assert_rejected(verify(link(*sign(claims_of(f"{issuer}/elsewhere"))), ISSUER=f"{issuer}/elsewhere"))

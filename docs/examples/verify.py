# Usage: ISSUER=https://… AUDIENCE=… python3 verify.py 'https://your-app.com/callback?data=…&signature=…'
import json, os, re, sys
from urllib.parse import parse_qs, urlsplit

import jwt  # PyJWT[crypto]

try:
    issuer, audience = os.environ["ISSUER"], os.environ["AUDIENCE"]
    query = parse_qs(urlsplit(sys.argv[1]).query, keep_blank_values=True)
    [data], [detached] = query["data"], query["signature"]  # one of each, or an error

    # header..signature: 64 bytes in the one spelling base64url has for them
    parts = re.fullmatch(r"([\w-]+)\.\.([\w-]{85}[AQgw])", detached, re.ASCII)
    if not parts:
        raise ValueError("signature is not a detached JWS")
    token = f"{parts[1]}.{data}.{parts[2]}"

    # a server keeps this client: it is a cache, and fetches again when it meets a new kid
    keys = jwt.PyJWKClient(f"{issuer}/.well-known/jwks.json", timeout=5)
    verified = jwt.decode_complete(
        token, keys.get_signing_key_from_jwt(token), algorithms=["EdDSA"], issuer=issuer, audience=audience,
        # iat must be there, but a clock a second behind the issuer's is no reason to refuse
        options={"require": ["exp", "iat", "jti", "status"], "verify_iat": False})
    if verified["header"].get("typ") != "link-return+jwt":
        raise ValueError("typ is not link-return+jwt")
    if verified["payload"]["status"] == "completed" and "code" not in verified["payload"]:
        raise ValueError("code is missing")
except Exception as error:
    sys.exit(f"rejected: {error!r}")
print(json.dumps(verified["payload"]))

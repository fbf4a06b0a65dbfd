"""Checks tokens with PyJWT as it comes. Arguments: the JWKS and the issuer; a token a line, an answer a line."""

import sys

import jwt

jwks, issuer = sys.argv[1:]
keys = jwt.PyJWKClient(jwks)

for line in sys.stdin:
    token = line.strip()
    try:
        if jwt.get_unverified_header(token).get("typ") != "at+jwt":
            raise ValueError("another type")
        key = keys.get_signing_key_from_jwt(token).key
        claims = jwt.decode(token, key, algorithms=["EdDSA"], audience="ch202", issuer=issuer)
        print("ok", claims["sub"], flush=True)
    except Exception as error:
        print("refused", repr(error).replace("\n", " "), flush=True)

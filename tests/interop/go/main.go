// Verifies the access tokens on standard input, a line each, with the library that the first argument names.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

type claims struct {
	jwt.RegisteredClaims
	ClientID string `json:"client_id"`
}

// withGolangJWT: the library has no JWKS. Fetch it at the start, and again for an unknown kid.
func withGolangJWT(jwksURI, issuer, audience, alg string) func(string) (string, error) {
	response, err := http.Get(jwksURI)
	if err != nil {
		panic(err)
	}
	var keys jose.JSONWebKeySet
	if err := json.NewDecoder(response.Body).Decode(&keys); err != nil {
		panic(err)
	}
	return func(token string) (string, error) {
		var found claims
		_, err := jwt.ParseWithClaims(token, &found, func(parsed *jwt.Token) (any, error) {
			if parsed.Header["typ"] != "at+jwt" {
				return nil, errors.New("not an access token")
			}
			kid, _ := parsed.Header["kid"].(string)
			for _, key := range keys.Key(kid) {
				return key.Key, nil
			}
			return nil, errors.New("unknown key")
		}, jwt.WithValidMethods([]string{alg}), jwt.WithIssuer(issuer), jwt.WithAudience(audience), jwt.WithExpirationRequired())
		if err != nil {
			return "", err
		}
		if found.ClientID != "ch202" {
			return "", errors.New("a token of another client")
		}
		return found.Subject, nil
	}
}

// withGoOIDC: the verifier of ID tokens checks signature, issuer, audience and expiry of any JWT. It does not check the type.
func withGoOIDC(jwksURI, issuer, audience, alg string) func(string) (string, error) {
	keys := oidc.NewRemoteKeySet(context.Background(), jwksURI)
	verifier := oidc.NewVerifier(issuer, keys, &oidc.Config{ClientID: audience, SupportedSigningAlgs: []string{alg}})
	return func(token string) (string, error) {
		parsed, err := jose.ParseSigned(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
		if err != nil {
			return "", err
		}
		if parsed.Signatures[0].Header.ExtraHeaders[jose.HeaderType] != "at+jwt" {
			return "", errors.New("not an access token")
		}
		verified, err := verifier.Verify(context.Background(), token)
		if err != nil {
			return "", err
		}
		var found claims
		if err := verified.Claims(&found); err != nil || found.ClientID != "ch202" {
			return "", errors.New("a token of another client")
		}
		return verified.Subject, nil
	}
}

func main() {
	library, jwksURI, issuer, audience, alg := os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5]
	verify := withGolangJWT(jwksURI, issuer, audience, alg)
	if library == "go-oidc" {
		verify = withGoOIDC(jwksURI, issuer, audience, alg)
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if subject, err := verify(lines.Text()); err != nil {
			fmt.Println("refused")
		} else {
			fmt.Println("ok", subject)
		}
	}
}

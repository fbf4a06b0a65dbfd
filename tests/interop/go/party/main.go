// An app that people sign in to, with go-oidc and golang.org/x/oauth2.
package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"os"
	"sync"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

type session struct {
	state, nonce, verifier, idToken string
	tokens                          oauth2.TokenSource
}

type app struct {
	address, endSession string
	config              oauth2.Config
	provider            *oidc.Provider
	lock                sync.Mutex
	sessions            map[string]*session
}

func newApp(ctx context.Context, address, issuer, clientID, clientSecret string) (*app, error) {
	provider, err := oidc.NewProvider(ctx, issuer)
	if err != nil {
		return nil, err
	}
	var metadata struct {
		EndSession string `json:"end_session_endpoint"`
	}
	if err := provider.Claims(&metadata); err != nil {
		return nil, err
	}
	config := oauth2.Config{
		ClientID:     clientID,
		ClientSecret: clientSecret,
		Endpoint:     provider.Endpoint(),
		RedirectURL:  address + "/callback",
		Scopes:       []string{oidc.ScopeOpenID, "profile", "email", oidc.ScopeOfflineAccess},
	}
	return &app{address: address, endSession: metadata.EndSession, config: config, provider: provider, sessions: map[string]*session{}}, nil
}

func (a *app) signIn(current *session) string {
	current.state, current.nonce, current.verifier = rand.Text(), rand.Text(), oauth2.GenerateVerifier()
	return a.config.AuthCodeURL(current.state, oidc.Nonce(current.nonce), oauth2.S256ChallengeOption(current.verifier))
}

func (a *app) callback(ctx context.Context, current *session, answer url.Values) error {
	if current.state == "" || answer.Get("state") != current.state {
		return fmt.Errorf("the answer belongs to another request: %s", answer.Get("error"))
	}
	tokens, err := a.config.Exchange(ctx, answer.Get("code"), oauth2.VerifierOption(current.verifier))
	if err != nil {
		return err
	}
	raw, _ := tokens.Extra("id_token").(string)
	idToken, err := a.provider.Verifier(&oidc.Config{ClientID: a.config.ClientID}).Verify(ctx, raw)
	if err != nil {
		return err
	}
	if idToken.Nonce != current.nonce {
		return fmt.Errorf("the ID token belongs to another request")
	}
	// The source refreshes the access token when it has expired.
	*current = session{idToken: raw, tokens: a.config.TokenSource(context.Background(), tokens)}
	return nil
}

func (a *app) email(ctx context.Context, current *session) (string, error) {
	user, err := a.provider.UserInfo(ctx, current.tokens)
	if err != nil {
		return "", err
	}
	return user.Email, nil
}

func (a *app) signOut(current *session) string {
	hint := url.Values{"id_token_hint": {current.idToken}, "post_logout_redirect_uri": {a.address + "/bye"}}
	*current = session{}
	return a.endSession + "?" + hint.Encode()
}

// The session of a browser. A new one gets another id at each sign-in.
func (a *app) session(response http.ResponseWriter, request *http.Request, isNew bool) *session {
	a.lock.Lock()
	defer a.lock.Unlock()
	current := &session{}
	if cookie, err := request.Cookie("app"); err == nil && a.sessions[cookie.Value] != nil {
		current = a.sessions[cookie.Value]
		if !isNew {
			return current
		}
		delete(a.sessions, cookie.Value)
	}
	id := rand.Text()
	a.sessions[id] = current
	http.SetCookie(response, &http.Cookie{Name: "app", Value: id, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	return current
}

func main() {
	address := os.Getenv("APP_URL")
	a, err := newApp(context.Background(), address, os.Getenv("ISSUER"), os.Getenv("CLIENT_ID"), os.Getenv("CLIENT_SECRET"))
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("/{$}", func(response http.ResponseWriter, request *http.Request) {
		current := a.session(response, request, false)
		if current.tokens == nil {
			http.Redirect(response, request, a.signIn(current), http.StatusFound)
			return
		}
		email, err := a.email(request.Context(), current)
		if err != nil {
			http.Error(response, err.Error(), http.StatusBadGateway)
			return
		}
		fmt.Fprint(response, "Signed in as ", email)
	})
	http.HandleFunc("/callback", func(response http.ResponseWriter, request *http.Request) {
		if err := a.callback(request.Context(), a.session(response, request, true), request.URL.Query()); err != nil {
			http.Error(response, err.Error(), http.StatusBadRequest)
			return
		}
		http.Redirect(response, request, "/", http.StatusFound)
	})
	http.HandleFunc("/logout", func(response http.ResponseWriter, request *http.Request) {
		http.Redirect(response, request, a.signOut(a.session(response, request, true)), http.StatusFound)
	})
	http.HandleFunc("/bye", func(response http.ResponseWriter, request *http.Request) {
		fmt.Fprint(response, "Signed out")
	})
	parsed, err := url.Parse(address)
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe("127.0.0.1:"+parsed.Port(), nil))
}

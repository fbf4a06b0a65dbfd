// Checks tokens with keyfunc and golang-jwt as they come. Arguments: the JWKS and the issuer; a token a line, an answer
// a line.
package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
)

func main() {
	keys, err := keyfunc.NewDefault([]string{os.Args[1]})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	parser := jwt.NewParser(
		jwt.WithValidMethods([]string{"EdDSA"}),
		jwt.WithIssuer(os.Args[2]),
		jwt.WithAudience("ch202"),
		jwt.WithExpirationRequired(),
	)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		token, err := parser.Parse(lines.Text(), keys.Keyfunc)
		if err == nil && token.Header["typ"] != "at+jwt" {
			err = fmt.Errorf("another type")
		}
		if err != nil {
			fmt.Println("refused", strings.ReplaceAll(err.Error(), "\n", " "))
			continue
		}
		subject, _ := token.Claims.GetSubject()
		fmt.Println("ok", subject)
	}
}

//! Verifies the access tokens on standard input, a line each.

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{decode, decode_header, Algorithm, DecodingKey, Validation};
use std::io::BufRead;
use std::str::FromStr;

#[derive(serde::Deserialize)]
struct Claims {
    sub: String,
    client_id: String,
}

fn verify(token: &str, keys: &JwkSet, validation: &Validation) -> Option<String> {
    let header = decode_header(token).ok()?;
    if header.typ.as_deref() != Some("at+jwt") {
        return None;
    }
    let key = DecodingKey::from_jwk(keys.find(&header.kid?)?).ok()?;
    let claims = decode::<Claims>(token, &key, validation).ok()?.claims;
    (claims.client_id == "ch202").then_some(claims.sub)
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, jwks_uri, issuer, audience, alg] = &arguments[..] else { panic!("four arguments") };
    let keys: JwkSet = ureq::get(jwks_uri).call().unwrap().into_json().unwrap();
    let mut validation = Validation::new(Algorithm::from_str(alg).unwrap());
    validation.set_issuer(&[issuer]);
    validation.set_audience(&[audience]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    validation.leeway = 0;
    for line in std::io::stdin().lock().lines() {
        match verify(&line.unwrap(), &keys, &validation) {
            Some(subject) => println!("ok {subject}"),
            None => println!("refused"),
        }
    }
}

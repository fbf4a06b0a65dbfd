package interop;

import com.nimbusds.jose.JOSEObjectType;
import com.nimbusds.jose.JWSAlgorithm;
import com.nimbusds.jose.jwk.source.JWKSourceBuilder;
import com.nimbusds.jose.proc.DefaultJOSEObjectTypeVerifier;
import com.nimbusds.jose.proc.JWSVerificationKeySelector;
import com.nimbusds.jose.proc.SecurityContext;
import com.nimbusds.jwt.JWTClaimsSet;
import com.nimbusds.jwt.proc.DefaultJWTClaimsVerifier;
import com.nimbusds.jwt.proc.DefaultJWTProcessor;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.URI;
import java.util.Set;
import org.springframework.security.oauth2.jose.jws.SignatureAlgorithm;
import org.springframework.security.oauth2.jwt.JwtValidators;
import org.springframework.security.oauth2.jwt.NimbusJwtDecoder;

/** Verifies the access tokens on standard input, a line each, with the library that the first argument names. */
public final class Main {
  private interface Verifier {
    String subjectOf(String token) throws Exception;
  }

  private static Verifier nimbus(String jwksUri, String issuer, String audience, String alg) throws Exception {
    var processor = new DefaultJWTProcessor<SecurityContext>();
    processor.setJWSTypeVerifier(new DefaultJOSEObjectTypeVerifier<>(new JOSEObjectType("at+jwt")));
    var keys = JWKSourceBuilder.create(URI.create(jwksUri).toURL()).build();
    processor.setJWSKeySelector(new JWSVerificationKeySelector<>(JWSAlgorithm.parse(alg), keys));
    var expected = new JWTClaimsSet.Builder().issuer(issuer).claim("client_id", "ch202").build();
    var required = Set.of("sub", "exp", "iat", "jti");
    processor.setJWTClaimsSetVerifier(new DefaultJWTClaimsVerifier<>(audience, expected, required));
    return token -> processor.process(token, null).getSubject();
  }

  private static Verifier spring(String jwksUri, String issuer, String audience, String alg) {
    var decoder = NimbusJwtDecoder.withJwkSetUri(jwksUri).jwsAlgorithm(SignatureAlgorithm.from(alg)).validateType(false).build();
    decoder.setJwtValidator(
        JwtValidators.createAtJwtValidator().issuer(issuer).audience(audience).clientId("ch202").build());
    return token -> decoder.decode(token).getSubject();
  }

  public static void main(String[] args) throws Exception {
    var verifier =
        args[0].equals("nimbus") ? nimbus(args[1], args[2], args[3], args[4]) : spring(args[1], args[2], args[3], args[4]);
    var lines = new BufferedReader(new InputStreamReader(System.in));
    for (var token = lines.readLine(); token != null; token = lines.readLine()) {
      try {
        System.out.println("ok " + verifier.subjectOf(token));
      } catch (Exception refusal) {
        System.out.println("refused");
      }
    }
  }
}

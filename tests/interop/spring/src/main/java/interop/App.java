package interop;

import static org.springframework.security.config.Customizer.withDefaults;

import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.context.annotation.Bean;
import org.springframework.core.annotation.Order;
import org.springframework.security.config.annotation.web.builders.HttpSecurity;
import org.springframework.security.core.annotation.AuthenticationPrincipal;
import org.springframework.security.oauth2.client.OAuth2AuthorizedClient;
import org.springframework.security.oauth2.client.annotation.RegisteredOAuth2AuthorizedClient;
import org.springframework.security.oauth2.client.oidc.web.logout.OidcClientInitiatedLogoutSuccessHandler;
import org.springframework.security.oauth2.client.registration.ClientRegistrationRepository;
import org.springframework.security.oauth2.core.oidc.user.OidcUser;
import org.springframework.security.oauth2.jose.jws.SignatureAlgorithm;
import org.springframework.security.oauth2.jwt.Jwt;
import org.springframework.security.oauth2.jwt.JwtDecoder;
import org.springframework.security.oauth2.jwt.JwtValidators;
import org.springframework.security.oauth2.jwt.NimbusJwtDecoder;
import org.springframework.security.web.SecurityFilterChain;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;

/** An app that people sign in to, and a service that takes access tokens. */
@SpringBootApplication
@RestController
public class App {
  @Bean
  @Order(2)
  SecurityFilterChain people(HttpSecurity http, ClientRegistrationRepository clients) throws Exception {
    var signedOut = new OidcClientInitiatedLogoutSuccessHandler(clients);
    signedOut.setPostLogoutRedirectUri("{baseUrl}/bye");
    return http
        .authorizeHttpRequests(all -> all.requestMatchers("/bye").permitAll().anyRequest().authenticated())
        .oauth2Login(withDefaults())
        .logout(logout -> logout.logoutSuccessHandler(signedOut))
        .oidcLogout(logout -> logout.backChannel(withDefaults()))
        .build();
  }

  @Bean
  @Order(1)
  SecurityFilterChain tokens(HttpSecurity http) throws Exception {
    return http
        .securityMatcher("/orders")
        .authorizeHttpRequests(all -> all.anyRequest().hasAuthority("SCOPE_orders:read"))
        .oauth2ResourceServer(server -> server.jwt(withDefaults()))
        .build();
  }

  @Bean
  JwtDecoder accessTokens(
      @Value("${issuer}") String issuer, @Value("${resource}") String resource, @Value("${app}") String app) {
    var keys = NimbusJwtDecoder.withJwkSetUri(issuer + "/.well-known/jwks.json");
    var decoder = keys.jwsAlgorithm(SignatureAlgorithm.ES256).validateType(false).build();
    decoder.setJwtValidator(
        JwtValidators.createAtJwtValidator().issuer(issuer).audience(resource).clientId(app).build());
    return decoder;
  }

  @GetMapping("/")
  String home(@AuthenticationPrincipal OidcUser user) {
    return "Signed in as " + user.getEmail();
  }

  @GetMapping("/refresh")
  String refresh(@RegisteredOAuth2AuthorizedClient("ch202") OAuth2AuthorizedClient client) {
    return "Refreshed until " + client.getAccessToken().getExpiresAt();
  }

  @GetMapping("/bye")
  String bye() {
    return "Signed out";
  }

  @GetMapping("/orders")
  String orders(@AuthenticationPrincipal Jwt token) {
    return "Orders of " + token.getSubject();
  }

  public static void main(String[] args) {
    SpringApplication.run(App.class, args);
  }
}

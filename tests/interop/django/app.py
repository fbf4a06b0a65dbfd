# An app that people sign in to, with mozilla-django-oidc: `python app.py <command of Django>`.
import os
import sys
from urllib.parse import urlencode

import django
from django.conf import settings

APP_URL = os.environ["APP_URL"]
ISSUER = os.environ["ISSUER"]

settings.configure(
    DEBUG=True,
    SECRET_KEY="a secret of the tests",
    ALLOWED_HOSTS=["localhost"],
    ROOT_URLCONF=__name__,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["DATABASE"]}},
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "mozilla_django_oidc",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    AUTHENTICATION_BACKENDS=["mozilla_django_oidc.auth.OIDCAuthenticationBackend"],
    LOGIN_URL="oidc_authentication_init",
    LOGIN_REDIRECT_URL="/",
    OIDC_RP_CLIENT_ID=os.environ["CLIENT_ID"],
    OIDC_RP_CLIENT_SECRET=os.environ["CLIENT_SECRET"],
    OIDC_RP_SIGN_ALGO="RS256",
    OIDC_USE_PKCE=True,
    OIDC_OP_JWKS_ENDPOINT=ISSUER + "/.well-known/jwks.json",
    OIDC_OP_AUTHORIZATION_ENDPOINT=ISSUER + "/oauth/authorize",
    OIDC_OP_TOKEN_ENDPOINT=ISSUER + "/oauth/token",
    OIDC_OP_USER_ENDPOINT=ISSUER + "/oauth/userinfo",
    OIDC_STORE_ID_TOKEN=True,
    OIDC_OP_LOGOUT_URL_METHOD=__name__ + ".provider_logout",
    # Without it version 5.0.2 answers a sign-out with an error.
    LOGOUT_REDIRECT_URL="/",
    ALLOW_LOGOUT_GET_METHOD=True,
)


def provider_logout(request):
    parameters = {
        "id_token_hint": request.session["oidc_id_token"],
        "post_logout_redirect_uri": APP_URL + "/bye",
    }
    return ISSUER + "/oauth/logout?" + urlencode(parameters)


django.setup()

from django.contrib.auth.decorators import login_required  # noqa: E402
from django.core.management import execute_from_command_line  # noqa: E402
from django.http import HttpResponse  # noqa: E402
from django.urls import include, path  # noqa: E402


@login_required
def home(request):
    return HttpResponse("Signed in as " + request.user.email)


urlpatterns = [
    path("", home),
    path("bye", lambda request: HttpResponse("Signed out")),
    path("oidc/", include("mozilla_django_oidc.urls")),
]

if __name__ == "__main__":
    execute_from_command_line(sys.argv)

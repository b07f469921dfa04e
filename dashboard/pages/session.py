"""Sign in, sign out, and the theme that a browser keeps."""

from django.conf import settings
from django.contrib.auth import views as auth
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from dashboard.shell import THEME_COOKIE, THEMES

_YEAR_S = 365 * 24 * 3600

sign_in = auth.LoginView.as_view(
    template_name="dashboard/sign_in.html", redirect_authenticated_user=True
)
sign_out = auth.LogoutView.as_view()  # by POST only


@require_POST
def theme(request: HttpRequest) -> HttpResponse:
    """Keep the theme in a cookie, which the server reads: no page is ever drawn in the wrong one."""
    back = request.POST.get("next", "/")
    if not url_has_allowed_host_and_scheme(back, {request.get_host()}, request.is_secure()):
        back = "/"
    chosen = request.POST.get("theme", "auto")
    response = redirect(back)
    response.set_cookie(
        THEME_COOKIE,
        chosen if chosen in THEMES else "auto",
        max_age=_YEAR_S,
        samesite="Lax",
        httponly=True,
        secure=settings.SESSION_COOKIE_SECURE,
    )
    return response

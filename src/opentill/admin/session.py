"""The cookie that names a session on the server, and where a request comes from."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from opentill.kernel.secret import Secret
from opentill.operators.sign_in import Caller
from opentill.settings import Settings
from opentill.web.addresses import caller_address

COOKIE: Final = "opentill_session"
PATH: Final = "/admin"
TOKEN_MAX: Final = 128  # characters of a cookie that are looked at


def token_of(request: Request) -> str:
    """Return what the session's cookie holds; empty where there is none."""
    return request.cookies.get(COOKIE, "")[:TOKEN_MAX]


def remember(response: Response, token: Secret, settings: Settings) -> None:
    """Give the browser a session, until it is closed. Scripts never see it, other sites never send it."""
    response.set_cookie(
        COOKIE,
        token.reveal(),
        path=PATH,
        secure=settings.public_url.startswith("https://"),
        httponly=True,
        samesite="lax",
    )


def forget(response: Response, settings: Settings) -> None:
    response.delete_cookie(
        COOKIE, path=PATH, secure=settings.public_url.startswith("https://"), httponly=True, samesite="lax"
    )


def caller_of(request: Request, settings: Settings) -> Caller:
    """Return the address and the browser of a request."""
    peer = request.client.host if request.client else None
    forwarded = [value for name, value in request.scope["headers"] if name == b"x-forwarded-for"]
    return Caller(caller_address(peer, forwarded, settings.proxies), request.headers.get("user-agent", ""))


def from_elsewhere(request: Request) -> bool:
    """Tell whether the browser says that another site sent this form."""
    return request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")

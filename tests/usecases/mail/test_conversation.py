"""How letters are handed over: encrypted as promised, signed in, byte for byte, or not at all (docs/mail.md)."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from email.message import EmailMessage

import pytest
import trustme

from opentill.kernel.secret import Secret
from opentill.mail.model import Outcome, Sent
from opentill.mail.smtp import Away, Conversation
from opentill.settings import BadSettingError, Settings
from opentill.web.letters import server_of
from tests.fakes.mail_server import MailServer
from tests.usecases.mail.office import SENDER, server_at

pytestmark = pytest.mark.anyio

AUTHORITY = trustme.CA()


def its_certificate(host: str = "127.0.0.1") -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    AUTHORITY.issue_cert(host).configure_cert(context)
    return context


def trust() -> ssl.SSLContext:
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    return context


def letter(body: str = "Olá\n", to: str = "ana@shop.example") -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = SENDER, to, "Olá"
    message.set_content(body)
    return message


async def handed(server: MailServer, *messages: EmailMessage, trusted: bool = True, **how: object) -> list[Outcome]:
    """Hand letters over on one connection, on a thread as the worker does."""

    def talk() -> list[Outcome]:
        conversation = Conversation(server_at(server.port, **how), context=trust() if trusted else None)
        try:
            return [conversation.send(message) for message in messages]
        finally:
            conversation.close()

    return await asyncio.to_thread(talk)


@pytest.fixture
async def plain() -> AsyncIterator[MailServer]:
    async with MailServer() as server:
        yield server


@pytest.mark.parametrize("implicit", [True, False])
async def test_letters_go_over_an_encrypted_line_after_signing_in(implicit: bool) -> None:
    async with MailServer(its_certificate(), implicit=implicit, users={"till": "geheim"}) as server:
        how = {"security": "tls" if implicit else "starttls", "user": "till", "password": Secret("geheim")}
        assert await handed(server, letter(), letter(), **how) == [Sent(), Sent()]
        assert [(taken.encrypted, taken.user) for taken in server.taken] == [(True, "till")] * 2
        assert server.connections == 1


async def test_without_the_promised_encryption_neither_password_nor_letter_is_given(plain: MailServer) -> None:
    plain.users = {"till": "geheim"}
    with pytest.raises(Away, match="starttls"):
        await handed(plain, letter(), security="starttls", user="till", password=Secret("geheim"))
    assert plain.taken == []
    assert not any(line.startswith(("AUTH", "MAIL")) for line in plain.lines)


@pytest.mark.parametrize("implicit", [True, False])
@pytest.mark.parametrize(("host", "trusted"), [("127.0.0.1", False), ("mail.evil.example", True)])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_server_that_cannot_prove_who_it_is_gets_nothing(implicit: bool, host: str, trusted: bool) -> None:
    async with MailServer(its_certificate(host), implicit=implicit) as server:
        security = "tls" if implicit else "starttls"
        with pytest.raises(Away, match="SSLCertVerificationError"):
            await handed(server, letter(), security=security, trusted=trusted)
        assert server.taken == []


async def test_a_wrong_password_is_told_without_repeating_it() -> None:
    async with MailServer(its_certificate(), users={"till": "geheim"}) as server:
        with pytest.raises(Away) as refused:
            await handed(server, letter(), security="starttls", user="till", password=Secret("falsch"))
        assert str(refused.value) == "sign in: 535"


@pytest.mark.parametrize("body", [".\n..\n.dot first\n\nFrom here\n.\n", "Olá, señor. রহিম 💳\n.\n"])
async def test_dots_and_letters_of_every_language_arrive_as_they_were(plain: MailServer, body: str) -> None:
    assert await handed(plain, letter(body), letter(body)) == [Sent(), Sent()]
    assert [taken.text.splitlines() for taken in plain.taken] == [body.splitlines()] * 2
    assert plain.taken[0].message["Subject"] == "Olá"


async def test_what_the_server_writes_is_not_kept_because_it_repeats_addresses(plain: MailServer) -> None:
    plain.script({"to": "550"})
    (outcome,) = await handed(plain, letter(to="secret@shop.example"))
    assert "secret" not in str(outcome)


def test_the_settings_name_a_server_or_none() -> None:
    assert server_of(Settings.from_environment({})) is None
    variables = {
        "OPENTILL_MAIL_HOST": "mail.example",
        "OPENTILL_MAIL_FROM": "Till <till@shop.example>",
        "OPENTILL_PUBLIC_URL": "https://till.example:8443",
    }
    server = server_of(Settings.from_environment(variables))
    assert server is not None
    assert (server.port, server.security, server.own_name) == (587, "starttls", "till.example")
    assert "geheim" not in repr(server_of(Settings.from_environment(variables | {"OPENTILL_MAIL_PASSWORD": "geheim"})))


@pytest.mark.parametrize(
    "wrong",
    [
        {"OPENTILL_MAIL_FROM": ""},
        {"OPENTILL_MAIL_FROM": "till"},
        {"OPENTILL_MAIL_FROM": "a@b.example\nBcc: c@d.example"},
        {"OPENTILL_MAIL_FROM": "a@b.example, c@d.example"},
        {"OPENTILL_MAIL_SECURITY": "ssl"},
        {"OPENTILL_MAIL_LANGUAGE": "fr"},
        {"OPENTILL_MAIL_USER": "till", "OPENTILL_MAIL_SECURITY": "none"},
    ],
)
def test_settings_that_cannot_work_are_told_at_the_start(wrong: dict[str, str]) -> None:
    sound = {"OPENTILL_MAIL_HOST": "mail.example", "OPENTILL_MAIL_FROM": "till@shop.example"}
    Settings.from_environment(sound)
    with pytest.raises(BadSettingError, match="OPENTILL_MAIL"):
        Settings.from_environment(sound | wrong)

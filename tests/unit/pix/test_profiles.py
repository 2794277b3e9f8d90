"""Profiles of banks are data: every file reads, says what the specification lists, and a slip in one is told."""

import pytest

from opentill.kernel.mode import Mode
from opentill.kernel.secret import Secret
from opentill.pix.providers.bacen.profile import (
    Credentials,
    Profile,
    TokenAuth,
    load_profile,
    profile_names,
    read_profile,
)

LIVE = {
    "efi": ("pix.api.efipay.com.br", TokenAuth.JSON_BASIC),
    "inter": ("cdpj.partners.bancointer.com.br", TokenAuth.FORM),
    "banco_do_brasil": ("api-pix.bb.com.br", TokenAuth.BASIC),
    "itau": ("secure.api.itau", TokenAuth.FORM),
    "bradesco": ("qrpix.bradesco.com.br", TokenAuth.BASIC),
    "sicoob": ("api.sicoob.com.br", TokenAuth.CLIENT_ID_ONLY),
    "sicredi": ("api-pix.sicredi.com.br", TokenAuth.BASIC),
    "santander": ("trust-pix.santander.com.br", TokenAuth.FORM),
}


def test_every_bank_of_the_specification_has_a_profile() -> None:
    assert set(profile_names()) == {*LIVE, "sandbox"}


@pytest.mark.parametrize("name", LIVE)
def test_a_live_bank_is_spoken_to_with_a_certificate_at_its_own_address(name: str) -> None:
    profile = load_profile(name, Mode.LIVE)
    host, auth = LIVE[name]
    assert profile.base_url.startswith(f"https://{host}/")
    assert profile.token_url.startswith("https://")
    assert (profile.token_auth, profile.mtls, profile.webhook_auth.client_certificate) == (auth, True, True)


def test_the_sandbox_has_no_live_side() -> None:
    with pytest.raises(ValueError, match="no environment 'live'"):
        load_profile("sandbox", Mode.LIVE)


@pytest.mark.parametrize("line", ["scope = []", "[webhook_auth]\nmtls_ca = true"])
def test_a_misspelt_member_is_told(line: str) -> None:
    text = f'token_auth = "basic"\n{line}\n[environments.live]\nbase_url = "x"\ntoken_url = "x"\n'
    with pytest.raises(ValueError, match="unknown members"):
        read_profile(text, Mode.LIVE)


def test_braces_are_filled_from_the_accounts_credentials_and_what_is_missing_is_left_out() -> None:
    inter = load_profile("inter", Mode.LIVE)
    alone = Credentials("id", Secret("secret"))
    several = Credentials("id", Secret("secret"), {"account": "12345"})
    assert alone.filled(inter.static_headers) == {}
    assert several.filled(inter.static_headers) == {"x-conta-corrente": "12345"}
    assert alone.filled(load_profile("sicoob", Mode.LIVE).static_headers) == {"client_id": "id"}


def test_what_a_profile_says_nothing_about_is_as_the_document_has_it() -> None:
    plain = Profile("https://x", "https://x/token", TokenAuth.BASIC)
    assert plain.offers("cobv")
    assert plain.code_members == ("pixCopiaECola",)

"""Bank accounts in the panel: attach, renew, pause, resume, and the PIX keys that lead to them (pix-rail.md §7)."""

from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import Response

from opentill.admin.numbers import number
from opentill.admin.panel import Screen
from opentill.admin.visit import Journalist, Visit
from opentill.db import ReadTx, Tx
from opentill.kernel.errors import Fault, Invalid, NotFound, Refused
from opentill.merchants import service as merchants
from opentill.pix import accounts, queries
from opentill.pix.accounts import OWN, UNCHECKED, BankForm
from opentill.pix.keys import Key, detect
from opentill.pix.providers.bacen.profile import Profile, Profiles
from opentill.pix.providers.certificates import pem_of_p12
from opentill.pix.queries import AccountLine

NAME_MAX: Final = 80  # characters
PACKED: Final = {"p12", "p12_password"}  # of a file that is uploaded, never typed
P12_BYTES_MAX: Final = 64 * 1024
# Never shown again, not even beside a fault.
SECRET_FIELDS: Final = (
    "client_secret",
    "certificate",
    "key",
    "p12_password",
    "more",
)


async def index(visit: Visit) -> Response:
    """List the merchant's bank accounts."""
    found = await visit.read(lambda tx: queries.account_lines(tx, owner=visit.owner))
    return visit.render("admin/pix/accounts.html", {"accounts": [one for one in found if one.status != "removed"]})


async def offer(visit: Visit) -> Response:
    return visit.render("admin/pix/account-new.html", _choices(visit))


async def attach(visit: Visit) -> Response:
    """Attach a bank account; its secrets are sealed at once and never shown again."""
    try:
        form, profile = _form(visit)

        def attached(tx: Tx, log: Journalist) -> int:
            account_id = accounts.attach(
                tx,
                form,
                profile,
                owner=visit.owner,
                merchant_uuid=merchants.merchant_of(tx, visit.owner).uuid,
                ids=visit.deps.ids,
                keyring=visit.deps.keyring,
                now=visit.now,
            )
            after = {"profile": form.profile, "bank": form.bank_name, "keys": [key.value for key in form.keys]}
            log("pix_account.attached", f"account:{account_id}", after=after)
            return account_id

        account_id = await visit.write(attached)
    except Invalid as wrong:
        return visit.wrong("admin/pix/account-new.html", wrong, _choices(visit))
    except Refused as refused:
        return visit.render("admin/pix/account-new.html", _choices(visit, visit.told(refused)), status=422)
    return visit.go(f"{visit.home}/accounts/{account_id}", note="saved")


async def show(visit: Visit) -> Response:
    """Show an account, its keys, and what can be done with it."""
    return visit.render("admin/pix/account.html", {"account": await _account(visit), "refusal": ""} | _unsaid(visit))


async def renew(visit: Visit) -> Response:
    """Replace the credentials that are entered, a secret or a certificate; the others stay."""
    line = await _account(visit)

    def renewed(tx: Tx, log: Journalist) -> None:
        profile = _profiles(visit).load(line.profile, visit.owner.mode)
        accounts.renew(tx, line.id, changed, profile, keyring=visit.deps.keyring, now=visit.now)
        log("pix_account.renewed", f"account:{line.id}", after={"replaced": sorted(changed)})

    try:
        changed = _credentials(visit)
        await visit.write(renewed)
    except Refused as refused:
        facts = {"account": line, "refusal": visit.told(refused)} | _unsaid(visit)
        return visit.render("admin/pix/account.html", facts, status=422)
    return visit.go(f"{visit.home}/accounts/{line.id}", note="saved")


async def change(visit: Visit) -> Response:
    """Pause an account or put it to work again; let a key lead to it, or nowhere."""
    line, action = await _account(visit), visit.path("action")

    def changed(tx: Tx, log: Journalist) -> None:
        now = visit.now
        match action:
            case "pause":
                accounts.pause(tx, line.id)
            case "resume":
                accounts.resume(tx, line.id)
            case "add-key":
                accounts.add_key(tx, line.id, detect(visit.field("pix_key")), now=now)
            case "remove-key":
                accounts.remove_key(tx, line.id, detect(visit.field("pix_key")))
            case _:
                raise NotFound("ACCOUNT_NOT_FOUND", "No such account.")
        after = next(one for one in queries.account_lines(tx, owner=visit.owner) if one.id == line.id)
        log(
            f"pix_account.{action.replace('-', '_')}",
            f"account:{line.id}",
            before={"status": line.status, "keys": line.keys},
            after={"status": after.status, "keys": after.keys},
        )

    place = f"{visit.home}/accounts/{line.id}"
    try:
        await visit.write(changed)
    except NotFound:
        raise
    except Refused as refused:
        facts = {"account": line, "refusal": visit.told(refused)} | _unsaid(visit)
        return visit.render("admin/pix/account.html", facts, status=422)
    return visit.go(place, note="saved")


async def _account(visit: Visit) -> AccountLine:
    wanted = number(visit.path("account"))

    def found(tx: ReadTx) -> AccountLine | None:
        lines = queries.account_lines(tx, owner=visit.owner)
        return next((one for one in lines if one.id == wanted and one.status != "removed"), None)

    line = await visit.read(found)
    if line is None:
        raise NotFound("ACCOUNT_NOT_FOUND", "No such account.")
    return line


def _form(visit: Visit) -> tuple[BankForm, Profile]:
    """Return what was entered, and the bank's profile. Raises Invalid with every fault."""
    faults: list[Fault] = []
    name = visit.field("profile")
    if name not in _profiles(visit).names(visit.owner.mode):
        faults.append(Fault("profile", "PROFILE_UNKNOWN", "Choose one of the list."))
    keys: list[Key] = []
    for text in visit.form.get("pix_keys", "").split():
        try:
            keys.append(detect(text))
        except Refused:
            faults.append(Fault("pix_keys", "KEY_INVALID", "One of these is no PIX key."))
    if faults:
        raise Invalid(faults)
    form = BankForm(
        profile=name,
        credentials=_credentials(visit),
        keys=keys,
        bank_name=visit.field("bank_name")[:NAME_MAX],
        bank_ispb=visit.field("bank_ispb"),
    )
    return form, _profiles(visit).load(name, visit.owner.mode)


def _credentials(visit: Visit) -> Mapping[str, str]:
    """Return the credentials that were entered, by name; what a bank asks for besides stands one a line.

    A PKCS#12 file is kept as the PEM it holds. Raises Refused where it cannot be opened.
    """
    named = {name: visit.field(name) for name in OWN - PACKED if visit.field(name)}
    for _, file in visit.files:
        named["certificate"], named["key"] = pem_of_p12(file, visit.form.get("p12_password", ""))
    for line in visit.form.get("more", "").splitlines():
        name, _, value = line.partition("=")
        if value.strip():
            named[name.strip()] = value.strip()
    return named


def _profiles(visit: Visit) -> Profiles:
    return Profiles(visit.deps.settings.bank_profiles)


def _unsaid(visit: Visit) -> dict[str, Any]:
    return {"typed": {name: text for name, text in visit.form.items() if name not in SECRET_FIELDS}}


def _choices(visit: Visit, refusal: str = "") -> dict[str, Any]:
    names = [(name, name) for name in _profiles(visit).names(visit.owner.mode)]
    return {"profiles": names, "refusal": refusal, "unchecked": UNCHECKED} | _unsaid(visit)


SCREENS: Final = (
    Screen("GET", "/m/{merchant}/accounts", index, "gateways.view"),
    Screen("GET", "/m/{merchant}/accounts/new", offer, "gateways.manage", fresh=True),
    Screen("POST", "/m/{merchant}/accounts/new", attach, "gateways.manage", fresh=True, file_bytes_max=P12_BYTES_MAX),
    Screen("GET", "/m/{merchant}/accounts/{account}", show, "gateways.view"),
    Screen(
        "POST",
        "/m/{merchant}/accounts/{account}/credentials",
        renew,
        "gateways.manage",
        fresh=True,
        file_bytes_max=P12_BYTES_MAX,
    ),
    Screen("POST", "/m/{merchant}/accounts/{account}/{action}", change, "gateways.manage", fresh=True),
)

"""`opentill bank`: the bank accounts of merchants, in the sandbox and with live money."""

import asyncio
import dataclasses
import json
import sys
from base64 import b64encode
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final

import typer

from opentill.cli import logs
from opentill.cli.options import Data, Json
from opentill.cli.prepare import prepare
from opentill.db import Tx
from opentill.kernel.calendar import day_of
from opentill.kernel.clock import Instant, iso_seconds
from opentill.kernel.errors import Refused
from opentill.kernel.mode import Mode
from opentill.kernel.money import Money, render
from opentill.main import Assembly, assembled
from opentill.merchants import gateways
from opentill.merchants import service as merchants
from opentill.operators import audit
from opentill.payments.matching import flow as matching
from opentill.payments.matching.rules import Difference
from opentill.payments.pix.removal import remove_account
from opentill.pix import accounts, queries
from opentill.pix.accounts import UNCHECKED, BankForm
from opentill.pix.flow import Finding, probe, register_hooks
from opentill.pix.keys import detect
from opentill.pix.model import BRL, Account
from opentill.pix.port import CallFailed
from opentill.pix.providers.bacen import Profiles
from opentill.settings import Settings

app = typer.Typer(help="Bank accounts that merchants receive into and pay out of.", no_args_is_help=True)

FILE_BYTES_MAX: Final = 262_144

AccountId = Annotated[int, typer.Argument(metavar="ACCOUNT", help="The account's number, as 'bank list' prints it.")]
ClientId = Annotated[str, typer.Option(help="The client id the bank gave.")]
ClientSecret = Annotated[
    str,
    typer.Option(
        envvar="OPENTILL_BANK_SECRET", help="The client secret. Safer in this variable, or asked for.", show_envvar=True
    ),
]
Certificate = Annotated[Path | None, typer.Option(help="Our certificate at the bank with its chain, PEM.")]
PrivateKey = Annotated[Path | None, typer.Option(help="The key of the certificate, PEM, without a password.")]
P12 = Annotated[Path | None, typer.Option(help="Certificate and key in one file, PKCS#12, in place of the two.")]
P12Password = Annotated[str, typer.Option(envvar="OPENTILL_BANK_P12_PASSWORD", help="Its password.")]
Roots = Annotated[Path | None, typer.Option(help="Who issues the bank's certificate, where no browser knows it: PEM.")]
HookRoots = Annotated[Path | None, typer.Option(help="Who issues the certificate the bank notifies us with: PEM.")]
HookUnchecked = Annotated[
    bool, typer.Option("--hook-unchecked", help="No proxy here can check that certificate; the secret address must do.")
]
More = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="What else the profile asks for; repeat.")
]


@app.command("profiles")
def profiles(data: Data = None) -> None:
    """List the banks that can be reached, those of DIR/banks too."""
    shelf = Profiles(Settings.from_environment(data=data).bank_profiles)
    for mode in Mode:
        print(f"{mode.name.lower()}: {', '.join(shelf.names(mode))}")


@app.command("add")
def add(
    merchant: Annotated[str, typer.Argument(help="The merchant's id, as 'merchant add' printed it.")],
    profile: Annotated[str, typer.Option(help="The bank, as 'bank profiles' names it.")],
    pix_key: Annotated[list[str], typer.Option(help="A PIX key of the account; repeat for several.")],
    client_id: ClientId = "",
    client_secret: ClientSecret = "",
    certificate: Certificate = None,
    key: PrivateKey = None,
    p12: P12 = None,
    p12_password: P12Password = "",
    roots: Roots = None,
    hook_roots: HookRoots = None,
    hook_unchecked: HookUnchecked = False,
    more: More = None,
    bank_name: Annotated[str, typer.Option(help="How payers read of the bank.")] = "",
    ispb: Annotated[str, typer.Option(help="The bank's eight characters, where the profile has none.")] = "",
    document: Annotated[str | None, typer.Option(help="The account holder's document, for receipts.")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Attach a bank account to a merchant, try it out, and have the bank announce what arrives.

    What was entered is sealed under the master key before it is stored.
    """
    settings = _settings(data)
    secret = client_secret or _asked_for_secret(client_id)
    entered = _credentials(client_id, secret, certificate, key, p12, p12_password, roots, hook_roots, more)
    form = BankForm(
        profile=profile,
        credentials=entered | ({UNCHECKED: "yes"} if hook_unchecked else {}),
        keys=[detect(text) for text in pix_key],
        bank_name=bank_name,
        bank_ispb=ispb,
        bank_document=document,
    )
    _told(asyncio.run(_add(settings, merchant, form)), as_json=as_json)


@app.command("list")
def show(data: Data = None, as_json: Json = False) -> None:
    """List all bank accounts. Credentials are never shown."""
    for line in asyncio.run(_lines(_settings(data))):
        if as_json:
            members = {name: getattr(line, name) for name in line.__slots__}
            print(json.dumps(members | {"mode": line.mode.name.lower()}))
        else:
            swept = iso_seconds(line.swept_until_at)
            print(
                f"{line.id:>4}  {line.status:<8} {line.mode.name.lower():<8} {line.profile:<16} {line.bank_name:<20} "
                f"{line.merchant_name} ({line.merchant_uuid})  keys: {', '.join(line.keys) or 'none'}  swept: {swept}"
            )


@app.command("test")
def try_out(account: AccountId, data: Data = None, as_json: Json = False) -> None:
    """Ask the bank for a token, its lists and the balance, and see that it announces to us what arrives."""
    _told(asyncio.run(_test(_settings(data), account)), as_json=as_json)


@app.command("rotate")
def rotate(
    account: AccountId,
    client_id: ClientId = "",
    client_secret: ClientSecret = "",
    certificate: Certificate = None,
    key: PrivateKey = None,
    p12: P12 = None,
    p12_password: P12Password = "",
    roots: Roots = None,
    hook_roots: HookRoots = None,
    hook_unchecked: HookUnchecked = False,
    more: More = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Replace some of an account's credentials, such as a certificate before it runs out, and try them out.

    A running server uses them with its next call.
    """
    changed = _credentials(client_id, client_secret, certificate, key, p12, p12_password, roots, hook_roots, more)
    if hook_unchecked:
        changed[UNCHECKED] = "yes"
    if not any(changed.values()):
        raise Refused("NOTHING_GIVEN", "Say what is new: a secret, a certificate or another option.")
    _told(asyncio.run(_rotate(_settings(data), account, changed)), as_json=as_json)


@app.command("key")
def key_of(
    account: AccountId,
    pix_key: Annotated[str, typer.Argument(help="The PIX key.")],
    data: Data = None,
    remove: Annotated[bool, typer.Option("--remove", help="Let it lead nowhere.")] = False,
) -> None:
    """Let one more PIX key lead to an account, or one less."""
    named, settings = detect(pix_key), _settings(data)

    def change(tx: Tx, assembly: Assembly) -> Account:
        if remove:
            return accounts.remove_key(tx, account, named)
        return accounts.add_key(tx, account, named, now=assembly.dependencies.clock.now())

    asyncio.run(_changed(settings, "key_removed" if remove else "key_added", change, key=named.value))
    print("The bank has to know the key as the account's. Run 'opentill bank test' to have it announced.")


@app.command("pause")
def pause(account: AccountId, data: Data = None) -> None:
    """Make no new charges and payouts through an account. What is under way goes on, what arrives is booked."""
    asyncio.run(_changed(_settings(data), "paused", lambda tx, _: accounts.pause(tx, account)))
    print("Paused.")


@app.command("resume")
def resume(account: AccountId, data: Data = None) -> None:
    """Put a paused account to work again."""
    asyncio.run(_changed(_settings(data), "resumed", lambda tx, _: accounts.resume(tx, account)))
    print("At work.")


@app.command("remove")
def remove(account: AccountId, data: Data = None) -> None:
    """Forget a paused account's credentials and keys, once nothing is under way through it. Its books stay."""
    settings = _settings(data)
    asyncio.run(
        _changed(
            settings,
            "removed",
            lambda tx, assembly: remove_account(tx, account, now=assembly.dependencies.clock.now()),
        )
    )
    print("Removed. Refunds of what it received are made in the bank's own application from now on.")


@app.command("match")
def match(
    account: AccountId,
    day: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Default: yesterday.")] = None,
    carry_out: Annotated[bool, typer.Option("--apply", help="Carry out what is proposed.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Compare a day of the books with what the bank says moved. Also done every morning at 06:00 of São Paulo."""
    chosen = day.date() if day else None
    found = asyncio.run(_match(_settings(data), account, chosen, carry_out=carry_out))
    for difference in found:
        members = dataclasses.asdict(difference) | {"proposal": difference.action.value}
        if as_json:
            print(json.dumps(members))
        else:
            ours, bank = (render(Money(units, BRL)) for units in (difference.ours_units, difference.bank_units))
            print(
                f"  {difference.kind:<13} {difference.name}  books {ours}  bank {bank}  proposed: {difference.action}"
            )
    if found:
        raise typer.Exit(1)
    if not as_json:
        print("Books and bank agree.")


async def _match(settings: Settings, account_id: int, day: date | None, *, carry_out: bool) -> Sequence[Difference]:
    async with assembled(settings) as assembly:
        deps = assembly.dependencies
        account = await deps.db.read(lambda tx: accounts.found(tx, account_id))
        chosen = day or day_of(deps.clock.now()) - timedelta(days=1)
        try:
            found = await matching.match_day(deps.tools, account, chosen)
        except CallFailed as failure:
            raise Refused("BANK_SILENT", f"The bank does not say: {failure}.") from None
        if carry_out and found:
            done = await matching.apply(deps.tools, account, chosen, found)
            detail = {"day": chosen.isoformat(), "differences": done}
            owner = account.owner.merchant_id
            await deps.db.write(
                lambda tx: _audit(tx, "matched", account_id, deps.clock.now(), merchant_id=owner, **detail)
            )
        return found


async def _add(settings: Settings, uuid: str, form: BankForm) -> Sequence[Finding]:
    async with assembled(settings) as assembly:
        deps = assembly.dependencies

        def make(tx: Tx) -> int:
            merchant, now = merchants.find_merchant(tx, uuid), deps.clock.now()
            account_id = accounts.attach(
                tx,
                form,
                assembly.banks.profiles.load(form.profile, merchant.mode),
                owner=merchant.owner,
                merchant_uuid=merchant.uuid,
                ids=deps.ids,
                keyring=deps.keyring,
                now=now,
            )
            gateways.switch_on(tx, "pix", name="PIX", owner=merchant.owner, position=0, now=now)
            _audit(tx, "attached", account_id, now, merchant_id=merchant.id, profile=form.profile)
            return account_id

        account_id = await deps.db.write(make)
        return [Finding("account", True, str(account_id)), *await _tried(assembly, account_id)]


async def _test(settings: Settings, account_id: int) -> Sequence[Finding]:
    async with assembled(settings) as assembly:
        return await _tried(assembly, account_id)


async def _rotate(settings: Settings, account_id: int, changed: dict[str, str]) -> Sequence[Finding]:
    async with assembled(settings) as assembly:
        deps = assembly.dependencies

        def replace(tx: Tx) -> None:
            found, now = accounts.found(tx, account_id), deps.clock.now()
            profile = assembly.banks.profiles.load(found.profile, found.owner.mode)
            accounts.renew(tx, account_id, changed, profile, keyring=deps.keyring, now=now)
            names = sorted(name for name, text in changed.items() if text)
            _audit(tx, "renewed", account_id, now, merchant_id=found.owner.merchant_id, members=names)

        await deps.db.write(replace)
        return await _tried(assembly, account_id)


async def _tried(assembly: Assembly, account_id: int) -> Sequence[Finding]:
    deps = assembly.dependencies
    account = await deps.db.read(lambda tx: accounts.found(tx, account_id))
    findings = list(await probe(assembly.banks, account, clock=deps.clock))
    if all(finding.fine for finding in findings):
        findings += await register_hooks(
            deps.db, assembly.banks, account, public_url=deps.settings.public_url, keyring=deps.keyring
        )
    return findings


async def _changed(
    settings: Settings, action: str, change: Callable[[Tx, Assembly], Account], **detail: object
) -> None:
    async with assembled(settings) as assembly:

        def carry_out(tx: Tx) -> None:
            account = change(tx, assembly)
            now = assembly.dependencies.clock.now()
            _audit(tx, action, account.id, now, merchant_id=account.owner.merchant_id, **detail)

        await assembly.dependencies.db.write(carry_out)


async def _lines(settings: Settings) -> Sequence[queries.AccountLine]:
    async with assembled(settings) as assembly:
        return await assembly.dependencies.db.read(queries.account_lines)


def _settings(data: Path | None) -> Settings:
    settings = Settings.from_environment(data=data)
    logs.configure(settings)
    prepare(settings)
    return settings


def _asked_for_secret(client_id: str) -> str:
    """Ask whoever sits there; a script says it in the environment or leaves it out."""
    if not client_id or not sys.stdin.isatty():
        return ""
    return str(typer.prompt("Client secret", hide_input=True, default="", show_default=False))


def _credentials(
    client_id: str,
    secret: str,
    certificate: Path | None,
    key: Path | None,
    p12: Path | None,
    p12_password: str,
    roots: Path | None,
    hook_roots: Path | None,
    more: Sequence[str] | None,
) -> dict[str, str]:
    """Return what was entered by name, files by what is in them; what was not is empty."""
    texts = {"certificate": certificate, "key": key, "roots": roots, "hook_roots": hook_roots}
    entered = {name: _read(file).decode("utf-8", "replace") if file else "" for name, file in texts.items()}
    for pair in more or ():
        name, sign, text = pair.partition("=")
        if not sign:
            raise Refused("BAD_OPTION", f"--set takes NAME=VALUE, not {pair}.")
        entered[name] = text
    packed = b64encode(_read(p12)).decode() if p12 else ""
    return entered | {"client_id": client_id, "client_secret": secret, "p12": packed, "p12_password": p12_password}


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            content = opened.read(FILE_BYTES_MAX + 1)
    except OSError as fault:
        raise Refused("UNREADABLE_FILE", f"{file} cannot be read: {fault.strerror}.") from None
    if len(content) > FILE_BYTES_MAX:
        raise Refused("UNREADABLE_FILE", f"{file} is too long for a certificate.")
    return content


def _audit(tx: Tx, action: str, account_id: int, now: Instant, *, merchant_id: int, **detail: object) -> None:
    change = audit.at_console(f"bank_account.{action}", str(account_id), **detail)
    audit.write(tx, dataclasses.replace(change, merchant_id=merchant_id), now=now)


def _told(findings: Sequence[Finding], *, as_json: bool) -> None:
    """Print what was tried; leave with 1 where the bank did not do all of it."""
    if as_json:
        print(json.dumps([dataclasses.asdict(finding) for finding in findings]))
    else:
        for finding in findings:
            print(f"  {'ok' if finding.fine else 'FAILED':<7} {finding.name:<16} {finding.detail}".rstrip())
    if not all(finding.fine for finding in findings):
        raise typer.Exit(1)

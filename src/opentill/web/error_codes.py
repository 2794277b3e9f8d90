"""What each code of a refusal means and what cures it: for `/docs/errors`, and for the panel in the reader's language.

The codes themselves stand where something is refused. `tests/contract/test_error_codes.py` reads them there and fails
where one is missing here, or is here and nowhere else. A number is a status of the PIX API, which has sentences
instead of codes.
"""

from dataclasses import dataclass
from typing import Final

_ = str  # marks a text for the catalogues


@dataclass(frozen=True, slots=True)
class Meaning:
    """Why something is refused, and what to do; both in English, for the catalogues."""

    codes: tuple[str, ...]
    cause: str
    cure: str


def _of(codes: str, cause: str, cure: str) -> Meaning:
    return Meaning(tuple(codes.split()), cause, cure)


MEANINGS: Final = (
    _of(
        "INVALID_JSON",
        _("The body is not a JSON object, or is nested too deeply."),
        _("Send one JSON object in UTF-8, with Content-Type: application/json."),
    ),
    _of(
        "VALIDATION_ERROR",
        _("One or more fields are wrong."),
        _("Read the list of errors in the answer: it names each field, its own code and a sentence."),
    ),
    _of(
        "VALIDATION_FAILED MISSING_FIELD INVALID_FIELD",
        _("A field is missing, has another type, or is outside its limits."),
        _("Correct the field that the answer names; the API's document says what it may hold."),
    ),
    _of(
        "INVALID_AMOUNT",
        _("The amount is not a plain decimal greater than zero, has too many decimals, or is outside its limits."),
        _("Send a decimal in major units, for example 99.90, with no more decimals than the currency has."),
    ),
    _of(
        "INVALID_CURRENCY",
        _("The currency is no ISO 4217 code, or is not enabled for the merchant."),
        _("Send three letters such as BRL, and enable the currency in the merchant's settings."),
    ),
    _of(
        "INVALID_REDIRECT_URL INVALID_CANCEL_URL INVALID_CALLBACK_URL INVALID_URL",
        _("The address is no complete URL, or is one that this gateway does not call."),
        _("Send an https:// address of a public host, without a user name in it."),
    ),
    _of(
        "INVALID_DATE",
        _("A date or time cannot be read."),
        _("Send 2026-07-20, or a time with its offset such as 2026-07-20T14:30:00Z."),
    ),
    _of(
        "INVALID_PAYMENT_ID PAYMENT_ID_REQUIRED TRANSACTION_ID_REQUIRED IDENTIFIER_REQUIRED",
        _("The call names no object, or names it in a form that no id has."),
        _("Send the id exactly as the answer that created the object gave it."),
    ),
    _of(
        "AMBIGUOUS_REFERENCE",
        _("Several objects have this reference."),
        _("Use the id of the one you mean."),
    ),
    _of(
        "NAME_REQUIRED",
        _("The customer has no name."),
        _("Send a name."),
    ),
    _of(
        "INVALID_SCOPES",
        _("A scope is none of read, write and admin."),
        _("Send a list of these words."),
    ),
    _of(
        "INVALID_EVENTS",
        _("An event is not in the catalogue of this API."),
        _("Choose from the catalogue of events, or leave the list empty for all."),
    ),
    _of(
        "INVALID_SECRET",
        _("The secret of the endpoint is too short, too long, or has characters it may not have."),
        _("Leave it out, so that a good one is made, or send one that the document allows."),
    ),
    _of(
        "INVALID_HOST",
        _("This is no host name that pages can be served under."),
        _("Enter a full name such as pay.shop.example, without https:// and without a path."),
    ),
    _of(
        "MISSING_TOKEN",
        _("The request has no Authorization header, or an empty one."),
        _("Send Authorization: Bearer, followed by an API key."),
    ),
    _of(
        "INVALID_TOKEN",
        _("The API key is mistyped, locked, revoked or expired."),
        _("Compare its first eight characters with the keys in the Developer Hub, and make a new one if need be."),
    ),
    _of(
        "INSUFFICIENT_SCOPE INSUFFICIENT_PRIVILEGE",
        _("The API key lacks a scope that this call needs."),
        _("Reading needs read, changing needs write, managing keys needs write and admin: use a key that has them."),
    ),
    _of(
        "SUPER_ADMIN_EMAIL_REQUIRED INVALID_SUPER_ADMIN",
        _("This installation asks for the name of a super-admin where keys are managed, and got none that is active."),
        _("Send the e-mail of an active super-admin in X-Super-Admin-Email."),
    ),
    _of(
        "MERCHANT_INACTIVE",
        _("The merchant is suspended or closed."),
        _("Ask the operator of this gateway to activate the merchant again."),
    ),
    _of(
        "IP_NOT_ALLOWED",
        _("The API key may not be used from this address."),
        _("Add the address to the key's list in the Developer Hub, or call from one that is on it."),
    ),
    _of(
        "NOT_FOUND",
        _("There is no such address in the API."),
        _("Compare the path with the API's document; slashes and plurals count."),
    ),
    _of(
        "METHOD_NOT_ALLOWED",
        _("The address exists, but not for this method."),
        _("Use one of the methods that the Allow header of the answer names."),
    ),
    _of(
        "PAYLOAD_TOO_LARGE",
        _("The body has more bytes than are read."),
        _("Send at most 1 MiB, or 256 KiB to the PIX API."),
    ),
    _of(
        "RATE_LIMIT_EXCEEDED",
        _("Too many requests came within this minute."),
        _("Wait as long as the answer says, or have the limit of the key raised."),
    ),
    _of(
        "TOO_MANY_WAITING",
        _("Too many readers wait on this feed at once."),
        _("Keep one reader for each feed, and let it go on from its last cursor."),
    ),
    _of(
        "INVALID_IDEMPOTENCY_KEY",
        _("The Idempotency-Key is empty, too long, or has characters that are not printable ASCII."),
        _("Send 1 to 255 printable ASCII characters, a UUID for example."),
    ),
    _of(
        "IDEMPOTENCY_IN_PROGRESS",
        _("A request with this Idempotency-Key still runs."),
        _("Wait a second and send the same request again: it is answered with the outcome of the first."),
    ),
    _of(
        "IDEMPOTENCY_KEY_REUSED",
        _("This Idempotency-Key was used with a different request."),
        _("Make a new key for each new request; repeat a request with all its fields unchanged."),
    ),
    _of(
        "INTERNAL_ERROR PAYMENT_PROCESSING_FAILED REFUND_PROCESSING_FAILED CUSTOMER_CREATION_FAILED",
        _("Something went wrong on the side of this gateway."),
        _("Send the request again under the same Idempotency-Key; if it stays, quote the request id to the operator."),
    ),
    _of(
        "SERVICE_UNAVAILABLE",
        _("The database does not answer in time, or too many requests wait for it."),
        _("Send the request again after the seconds the answer names; the operator sees the cause on the system page."),
    ),
    _of(
        "MAINTENANCE",
        _("An operator has closed the gateway for maintenance."),
        _("Send the request again after the seconds the answer names."),
    ),
    _of(
        "PAYMENT_NOT_FOUND TRANSACTION_NOT_FOUND CUSTOMER_NOT_FOUND PAYMENT_LINK_NOT_FOUND INVOICE_NOT_FOUND "
        "REFUND_NOT_FOUND DISPUTE_NOT_FOUND KEY_NOT_FOUND ENDPOINT_NOT_FOUND DELIVERY_NOT_FOUND EVENT_NOT_FOUND "
        "REPLAY_NOT_FOUND MED_NOT_FOUND ACCOUNT_NOT_FOUND CREDENTIAL_NOT_FOUND HOST_NOT_FOUND MERCHANT_NOT_FOUND "
        "PROOF_NOT_FOUND RECEIPT_NOT_FOUND REVIEW_ITEM_NOT_FOUND RULE_NOT_FOUND",
        _("Nothing of this id belongs to the merchant, in the mode that was asked: test or live."),
        _("Check the id, and that it was made for the same merchant and with credentials of the same mode."),
    ),
    _of(
        "GATEWAY_NOT_FOUND",
        _("No gateway of this name is active and configured for the merchant."),
        _("Choose one of those that GET /gateways lists, or activate it in the panel."),
    ),
    _of(
        "CUSTOMER_EXISTS SLUG_TAKEN INVOICE_NUMBER_TAKEN ENDPOINT_EXISTS HOST_TAKEN KEY_TAKEN",
        _("Another object has this name, number, e-mail, address or key already."),
        _("Use the one that exists, or choose another value."),
    ),
    _of(
        "INVALID_STATE",
        _("The state of the object does not allow this, or somebody changed it a moment ago."),
        _("Read the object again; its state says what can still be done."),
    ),
    _of(
        "TRY_UNCONFIRMED",
        _("The last try to pay is still being confirmed at the provider."),
        _("Wait a moment: what happened is asked for by itself, and no second try starts meanwhile."),
    ),
    _of(
        "TOO_MANY_TRIES",
        _("This payment was tried as often as one may be."),
        _("Create a new payment."),
    ),
    _of(
        "KEY_REVOCATION_FAILED",
        _("The API key is revoked already, or could not be revoked."),
        _("List the keys: if it is shown as revoked, nothing is left to do."),
    ),
    _of(
        "INVALID_REFUND_PARAMETERS INVALID_REFUND NOT_REFUNDABLE",
        _("The money is not there to be returned: not paid, returned already, more than is left, or not covered."),
        _("Read what is left of the payment and the balance, and ask for no more; some gateways only return in full."),
    ),
    _of(
        "WINDOW",
        _("The time within which this money can be returned is over."),
        _("Send the amount as a payout instead, or settle it with the payer."),
    ),
    _of(
        "DISPUTED",
        _("The payment is contested, so its money is held."),
        _("Wait for the end of the dispute, or answer it."),
    ),
    _of(
        "MED_CLOSED MED_DEADLINE MED_DEFENDED",
        _("The contest is over, its deadline has passed, or a defence was sent already."),
        _("Nothing more can be sent; what the bank decides is shown with the contest."),
    ),
    _of(
        "NOT_COMPLETED",
        _("There is a receipt only of what is completed."),
        _("Wait for the event that says so, or read the state first."),
    ),
    _of(
        "WEBHOOK_TEST_FAILED",
        _("There is no active endpoint, or it did not answer the test with a status of 2xx."),
        _("Read the message: it tells what the endpoint answered; the deliveries in the panel show each try."),
    ),
    _of(
        "ENDPOINT_LIMIT TOO_MANY_HOSTS TOO_MANY_KEYS TOO_MANY",
        _("There are as many of these as there may be."),
        _("Remove one that is not needed any more."),
    ),
    _of(
        "ENDPOINT_NOT_ACTIVE HOST_NOT_ACTIVE",
        _("It is paused, disabled or not verified."),
        _("Activate or verify it first."),
    ),
    _of(
        "PORTAL_LINK_OVER",
        _("This link to the portal has been used up, ended or revoked."),
        _("Ask whoever sent it for a new one."),
    ),
    _of(
        "LIMIT_EXCEEDED",
        _("The amount is above the limit for one transfer, or for today."),
        _("Ask for less, or have the limits under PIX in the panel raised."),
    ),
    _of(
        "INSUFFICIENT_BALANCE",
        _("The available balance does not cover the amount and its fee."),
        _("Wait for money to arrive, or ask for less."),
    ),
    _of(
        "PAYOUTS_DISABLED",
        _("Payouts are switched off for the merchant, or no bank account at work can send them."),
        _("Switch them on under PIX in the panel, or activate a bank account."),
    ),
    _of(
        "SAME_PERSON",
        _("Whoever created a payout cannot approve it."),
        _("Have a second person approve it."),
    ),
    _of(
        "PIX_KEY_NOT_OWNED NO_PIX_KEY",
        _("The merchant has no such active PIX key to be paid by."),
        _("Register the key at the bank account under PIX in the panel, or leave it out for the default one."),
    ),
    _of(
        "NOT_SANDBOX",
        _("Only test payments can be moved by hand; this one is real."),
        _("Use credentials of a sandbox merchant."),
    ),
    _of(
        "PROVIDER_UNAVAILABLE",
        _("The bank did not answer, or answered that it cannot now."),
        _("Send the request again under the same Idempotency-Key; what is unknown is asked for, never sent twice."),
    ),
    _of(
        "PROVIDER_REFUSED",
        _("The bank refused what it was asked for. Nothing was done there."),
        _("Read the message; correct the amount, key or account data, and ask again."),
    ),
    _of(
        "ACCOUNT_ACTIVE",
        _("The merchant has a bank account at work."),
        _("Pause it first: one is at work at a time."),
    ),
    _of(
        "ACCOUNT_IN_USE",
        _("Not everything is over that went through this bank account."),
        _("Wait until its charges, payouts and returns are final; until then leave it paused."),
    ),
    _of(
        "BAD_ISPB",
        _("The bank's ISPB does not have eight characters."),
        _("Copy it from the bank's contract, with its leading zeros."),
    ),
    _of(
        "UNKNOWN_CREDENTIAL NO_CLIENT_ID",
        _("The credentials are not those this bank asks for."),
        _("Enter exactly those that its fields name."),
    ),
    _of(
        "NO_CERTIFICATE BAD_CERTIFICATE CERTIFICATE_EXPIRED",
        _("The client certificate is missing, cannot be used, has run out, or does not belong to its key."),
        _("Take the current certificate with its key from the bank, as PEM, and enter both."),
    ),
    _of(
        "NO_HOOK_ROOTS BAD_HOOK_ROOTS",
        _("This bank proves its notifications by certificate, and those of its authority are missing or unreadable."),
        _("Enter them as PEM, or say that they cannot be checked here."),
    ),
    _of(
        "UNKNOWN_BANK BAD_PROFILE",
        _("There is no usable profile of this bank."),
        _("Choose one of the list; a profile of your own must follow the operating manual."),
    ),
    _of(
        "ENDLESS_LIST",
        _("The bank's list of payments did not end."),
        _("Reconcile a shorter span of days; tell the bank if it stays."),
    ),
    _of(
        "PERMISSION_MISSING",
        _("Your role does not allow this."),
        _("Have somebody do it whose role does, or ask an owner for the permission."),
    ),
    _of(
        "400",
        _("The request cannot be read: its JSON, a header, or a form."),
        _("Read the message, and compare with the API's document."),
    ),
    _of(
        "401",
        _("The PIX credential is missing or wrong, or the signature of the body does not fit."),
        _("Send client id and secret of one credential; sign the bytes exactly as they are sent."),
    ),
    _of(
        "403",
        _("The credential lacks the permission, or may not be used from this address, on this host, or now."),
        _("Read the message; permissions and addresses are set at the credential in the Developer Hub."),
    ),
    _of(
        "404 405",
        _("There is no such address in the PIX API, or not for this method."),
        _("Compare path and method with the API's document."),
    ),
    _of(
        "413 415",
        _("The body is too long, or is not declared as JSON."),
        _("Send at most 256 KiB, with Content-Type: application/json."),
    ),
    _of(
        "429",
        _("Too many calls came from this credential."),
        _("Wait as long as Retry-After says."),
    ),
)
BY_CODE: Final = {code: meaning for meaning in MEANINGS for code in meaning.codes}

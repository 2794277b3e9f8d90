"""What the OpenAPI document says of feeds."""

from typing import Any, Final

from opentill.api.merchant.documents import SUCCESS, TEXT, TEXT_OR_NULL, TIME, answers, good, query
from opentill.web.openapi import body, exactly, fields

ID: Final = {"type": "integer", "minimum": 1}
WEBHOOK_ID: Final = {"type": "string", "pattern": "^wh_[0-9a-f]{12}$"}
TOKEN: Final = {"type": "string", "pattern": "^whft_[a-z0-9]{40}$"}
NUMBER: Final = {"type": "integer", "minimum": 0}
NAMES: Final = {"type": "array", "items": TEXT}
DIALECT: Final = {"enum": ["merchant", "pix", "standard"]}
NO_FEED: Final = "There is no such feed."

ITEM: Final = exactly(
    feed_id=NUMBER,
    headers={"type": "object", "additionalProperties": TEXT},
    body=TEXT,
)
FEED: Final = exactly(
    id=ID,
    webhook_id=WEBHOOK_ID,
    transport={"const": "pull"},
    dialect=DIALECT,
    events=NAMES,
    description=TEXT_OR_NULL,
    secret=TEXT,
    feed_token=TOKEN,
    created_at=TIME,
)

OPEN_FEED: Final[dict[str, Any]] = {
    "operationId": "openFeed",
    "summary": "Register an endpoint that is read instead of called",
    "description": "For receivers nobody can reach from outside. Secret and feed token are shown this once.",
    "requestBody": body(
        fields(
            dialect=DIALECT,
            events={**NAMES, "description": "Names or families such as payment.*; empty means the usual ones."},
            secret={"type": ["string", "null"], "description": "Generated where absent."},
            description={"type": ["string", "null"], "maxLength": 255},
        ),
        {"dialect": "standard", "events": ["payment.*"], "description": "the shop in our basement"},
        required=False,
    ),
    "responses": answers(
        good("201", "The feed, with secret and token.", exactly(success=SUCCESS, data=FEED)),
        error="Error",
        bad={"409": "There are as many endpoints as there may be.", "422": "Fields are wrong."},
    ),
}
READ_FEED: Final[dict[str, Any]] = {
    "operationId": "readFeed",
    "summary": "Read events, and acknowledge those before",
    "description": (
        "Returns what comes after a number, in order and without gaps, with every header a delivery would carry, "
        "signed now. `after=n` acknowledges everything up to n; an older `after` returns the same again. "
        "Authenticated by an API key with `read`, or by the feed's own token as bearer."
    ),
    "parameters": [
        query("after", NUMBER, "The last number that was dealt with. Default 0."),
        query("limit", {"type": "integer", "minimum": 1, "maximum": 500}, "How many at most. Default 100."),
        query(
            "wait",
            {"type": "integer", "minimum": 0, "maximum": 25},
            "Seconds to hold the request until there is something. At most two requests of a feed may wait.",
        ),
    ],
    "responses": answers(
        good(
            "200",
            "Items, and the number to go on with.",
            exactly(
                success=SUCCESS,
                data={"type": "array", "items": ITEM},
                meta=exactly(next=NUMBER, more={"type": "boolean"}),
            ),
        ),
        error="Error",
        bad={"404": NO_FEED, "409": "The feed is paused.", "422": "A parameter is out of its range."},
    ),
}
CLOSE_FEED: Final[dict[str, Any]] = {
    "operationId": "closeFeed",
    "summary": "Delete a feed; what nobody read of it is cancelled",
    "responses": answers(
        good("200", "It is gone.", exactly(success=SUCCESS, data=exactly(id=ID, deleted={"const": True}))),
        error="Error",
        bad={"404": NO_FEED},
    ),
}
RENEW_TOKEN: Final[dict[str, Any]] = {
    "operationId": "renewFeedToken",
    "summary": "Give a feed another token; the old one stops working at once",
    "responses": answers(
        good("200", "The token, shown this once.", exactly(success=SUCCESS, data=exactly(id=ID, feed_token=TOKEN))),
        error="Error",
        bad={"404": NO_FEED},
    ),
}

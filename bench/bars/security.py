"""Security, S1 to S20 (bars.md §6)."""

from bench.bar import BOTH, NIGHTLY, Bar, MarkedTests, NotBuilt, equals

BARS = (
    Bar("S1", "outbound address guard", MarkedTests("the table of addresses with canaries")),
    Bar("S2", "signatures against independent verifiers", MarkedTests("the independent verifiers")),
    Bar("S3", "secrets never leave", MarkedTests("planted secrets and the search for them")),
    Bar("S4", "key rotation under load", MarkedTests("key rotation under load"), tiers=NIGHTLY),
    Bar("S5", "tenant and mode isolation", MarkedTests("tests generated from the routes")),
    Bar("S6", "stored credentials", MarkedTests("the inspection of stored credentials")),
    Bar("S7", "second factor on every path", MarkedTests("second factors")),
    Bar("S8", "guessing", MarkedTests("lock-outs and equal answers")),
    Bar("S9", "browser headers", MarkedTests("the crawl of all pages")),
    Bar("S10", "injection", MarkedTests("the hostile strings through every input")),
    Bar("S11", "request limits", MarkedTests("slow and oversized requests")),
    Bar("S12", "provider callbacks", MarkedTests("forged and repeated callbacks")),
    Bar("S13", "first run", MarkedTests("the inspection of a fresh install")),
    Bar("S14", "fuzz", MarkedTests("a fuzz run over the OpenAPI documents"), BOTH, NIGHTLY,
        parts=(equals("undocumented answers", 0, unit="1"),)),
    Bar("S15", "dependencies", NotBuilt("there is no `make audit` yet"),
        parts=(equals("known vulnerabilities with a fix", 0, unit="1"),)),
    Bar("S16", "card data", MarkedTests("the search for card numbers")),
    Bar("S17", "personal data", MarkedTests("erasure")),
    Bar("S18", "audit log", MarkedTests("tests generated from the write routes")),
    Bar("S19", "uploads", MarkedTests("uploads")),
    Bar("S20", "headers of trust", MarkedTests("forged forwarding headers")),
)  # fmt: skip

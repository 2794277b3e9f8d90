"""Reliability, R1 to R19 (bars.md §5)."""

from bench.bar import CHANGE, HOLDS, LITE, NIGHTLY, PG, Bar, MarkedTests, Part, sizes

BARS = (
    Bar("R1", "kill -9 at every named failpoint", MarkedTests("failpoints in the money paths"), tiers=CHANGE,
        parts=(Part("webhooks", "", HOLDS, HOLDS), Part("money paths", "", HOLDS, HOLDS)),
        sizes=sizes("each × 5 seeds", "each × 40 seeds")),
    Bar("R2", "random kill -9 under load", MarkedTests("the random killer"), tiers=NIGHTLY,
        sizes=sizes("20 kills", "100 kills")),
    Bar("R3", "database stopped and restarted under load", MarkedTests("a database that can be stopped"), PG, NIGHTLY,
        sizes=sizes("5 times", "20 times")),
    Bar("R4", "power cut", MarkedTests("the cutter of copied logs"), LITE, NIGHTLY,
        sizes=sizes("200 cuts", "5,000 cuts")),
    Bar("R5", "disk full, then freed", MarkedTests("a small file system"), tiers=NIGHTLY),
    Bar("R6", "clock steps and pauses", MarkedTests("clock steps and stopped processes"), tiers=NIGHTLY),
    Bar("R7", "webhook failure cases", MarkedTests("the failure cases of the delivery engine"), tiers=NIGHTLY),
    Bar("R8", "provider away, slow, answering garbage", MarkedTests("a provider that goes away"), tiers=NIGHTLY),
    Bar("R9", "Redis killed and restarted", MarkedTests("shared rate limits in Redis"), tiers=NIGHTLY),
    Bar("R10", "mail server away", MarkedTests("a mail server that goes away"), tiers=NIGHTLY),
    Bar("R11", "graceful stop under load", MarkedTests("the stopper under load"), tiers=NIGHTLY,
        sizes=sizes("20 stops", "200 stops")),
    Bar("R12", "rolling upgrade", MarkedTests("a previous release to run beside"), tiers=NIGHTLY),
    Bar("R13", "upgrade from the last two releases", MarkedTests("two earlier releases"), tiers=NIGHTLY),
    Bar("R14", "backup, restore, verify", MarkedTests("backup and restore"), tiers=NIGHTLY),
    Bar("R15", "state machines as properties", MarkedTests("the state machines of the engine and of payments"),
        tiers=CHANGE, sizes=sizes("200 examples each", "20,000 examples each")),
    Bar("R16", "soak", MarkedTests("the mixed scenario of P9"), tiers=NIGHTLY, sizes=sizes("30 min", "24 h")),
    Bar("R17", "nothing is stuck", MarkedTests("tests generated from the state tables"), tiers=NIGHTLY),
    Bar("R18", "migrations", MarkedTests("a second migration and the large data set"), tiers=NIGHTLY),
    Bar("R19", "doctor finds each seeded fault", MarkedTests("the seeded faults"), tiers=NIGHTLY),
)  # fmt: skip

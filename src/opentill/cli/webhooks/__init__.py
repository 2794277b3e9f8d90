"""`opentill webhooks`: endpoints, deliveries, replays and the engine itself (webhooks.md §13)."""

import typer

from opentill.cli.webhooks import deliveries, endpoints, engine

app = typer.Typer(help="Webhook endpoints, what was sent to them, and the engine that sends it.", no_args_is_help=True)

app.command("endpoints")(endpoints.show)
app.command("add")(endpoints.add)
app.command("edit")(endpoints.edit)
app.command("entrust")(endpoints.entrust)
app.command("rm")(endpoints.remove)
app.command("pause")(endpoints.pause)
app.command("activate")(endpoints.activate)
app.command("rotate")(endpoints.rotate)
app.command("test")(endpoints.send_test)
app.command("keys")(endpoints.keys)
app.command("log")(deliveries.log)
app.command("resend")(deliveries.resend)
app.command("recover")(deliveries.recover)
app.command("replay")(deliveries.replay)
app.command("replays")(deliveries.replays)
app.command("events")(deliveries.events)
app.command("lanes")(engine.lanes)
app.command("replan")(engine.replan)

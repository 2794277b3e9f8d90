"""Earlier revisions of a charge, as they were answered."""

from opentill.sandbox_psp.frame import Frame
from opentill.sandbox_psp.http import Answer, Request
from opentill.sandbox_psp.problems import Problem, Violation
from opentill.sandbox_psp.store import Row


def asked(frame: Frame, charge: Row, request: Request, *, problem: str) -> Answer | None:
    """Return the earlier revision that a request names; None where it asks for the charge as it stands."""
    wanted = request.query.get("revisao", str(charge["revision"]))
    if wanted == str(charge["revision"]):
        return None
    kept = frame.store.one(
        "select answer from charge_revision where charge_id = :id and revision = :revision",
        id=charge["id"],
        revision=int(wanted) if wanted.isascii() and wanted.isdecimal() and len(wanted) < 10 else -1,
    )
    if kept is None:
        reason = "o parâmetro `revisao` corresponde a uma revisão inexistente para a cobrança apontada."
        raise Problem(problem, [Violation(reason, "revisao")])
    return Answer(200, kept["answer"].encode())

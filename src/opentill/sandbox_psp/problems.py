"""Refusals, in the words of the Central Bank's document; those of payouts are this bank's own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

TYPE_ROOT: Final = "https://pix.bcb.gov.br/api/v2/error/"


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that was wrong: why, and where."""

    reason: str
    member: str


class Problem(Exception):  # noqa: N818 - the document's word
    """A refusal by its name in the document, which gives it status, title and text."""

    def __init__(
        self,
        name: str,
        violations: Sequence[Violation] = (),
        *,
        status: int | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(name)
        self.name = name
        self.status = status or _CATALOGUE[name][0]
        self.violations = violations
        self.more = more or {}

    def document(self, correlation_id: str) -> dict[str, Any]:
        """Return the body of the answer, problem+json."""
        _, title, detail = _CATALOGUE[self.name]
        body: dict[str, Any] = {
            "type": TYPE_ROOT + self.name,
            "title": title,
            "status": self.status,
            "detail": detail,
            "correlationId": correlation_id,
            **self.more,
        }
        if self.violations:
            body["violacoes"] = [{"razao": found.reason, "propriedade": found.member} for found in self.violations]
        return body


def named(status: int) -> str:
    """Return the name of the general refusal of a status."""
    return _GENERAL.get(status, "RequisicaoInvalida")


_GENERAL: Final = {500: "ErroInternoDoServidor", 503: "ServicoIndisponivel"}

_INVALID: Final = "não respeita o _schema_ ou está semanticamente errada."
_LIST: Final = "não respeitam o _schema_ ou não fazem sentido semanticamente."

_CATALOGUE: Final[dict[str, tuple[int, str, str]]] = {
    "RequisicaoInvalida": (400, "Requisição inválida.", "Requisição inválida."),
    "AcessoNegado": (
        403,
        "Acesso Negado",
        "Requisição de participante autenticado que viola alguma regra de autorização.",
    ),
    "NaoEncontrado": (404, "Não Encontrado", "Entidade não encontrada."),
    "ErroInternoDoServidor": (500, "Erro Interno", "Condição inesperada ao processar requisição."),
    "ServicoIndisponivel": (503, "Serviço Indisponível", "Serviço não está disponível no momento."),
    "CobNaoEncontrado": (404, "Cobrança não encontrada.", "Cobrança não encontrada para o txid informado."),
    "CobOperacaoInvalida": (
        400,
        "Cobrança inválida.",
        f"A requisição que busca alterar ou criar uma cobrança para pagamento imediato {_INVALID}",
    ),
    "CobConsultaInvalida": (
        400,
        "Consulta inválida.",
        f"Os parâmetros de consulta à lista de cobranças para pagamento imediato {_LIST}",
    ),
    "CobVNaoEncontrada": (
        404,
        "Cobrança com vencimento não encontrada.",
        "Cobrança com vencimento não encontrada para o txid informado.",
    ),
    "CobVOperacaoInvalida": (
        400,
        "Cobrança com vencimento inválida.",
        f"A requisição que busca alterar ou criar uma cobrança com vencimento {_INVALID}",
    ),
    "CobVConsultaInvalida": (
        400,
        "Consulta inválida.",
        f"Os parâmetros de consulta à lista de cobranças com vencimento {_LIST}",
    ),
    "CobPayloadOperacaoInvalida": (
        400,
        "Consulta inválida.",
        "A cobrança em questão não pode ser paga na data requisitada.",
    ),
    "CobPayloadNaoEncontrado": (
        404,
        "Cobrança não encontrada.",
        "A cobrança em questão não foi encontrada para a location requisitada.",
    ),
    "PixNaoEncontrado": (404, "Pix não encontrado.", "Pix não encontrado para o e2eid informado."),
    "PixConsultaInvalida": (
        400,
        "Consulta inválida.",
        f"Os parâmetros de consulta à lista de pix recebidos {_LIST}",
    ),
    "PixDevolucaoNaoEncontrada": (
        404,
        "Devolução não encontrada.",
        "Devolução não encontrada para o e2eid e o id informados.",
    ),
    "PixDevolucaoInvalida": (
        400,
        "Devolução inválida.",
        "A presente requisição de devolução não respeita o _schema_ ou não faz sentido semanticamente.",
    ),
    "EnvioNaoEncontrado": (404, "Envio não encontrado.", "Não há envio com a referência informada."),
    "EnvioInvalido": (400, "Envio inválido.", "A requisição de envio não respeita o _schema_."),
    "EnvioRecusado": (422, "Envio recusado.", "O envio não pode ser realizado."),
    "EnvioConsultaInvalida": (400, "Consulta inválida.", f"Os parâmetros de consulta {_LIST}"),
    "InfracaoNaoEncontrada": (404, "Infração não encontrada.", "Infração não encontrada para o id informado."),
    "PayloadLocationNaoEncontrado": (404, "Location não encontrada.", "Location não encontrada para o id informado."),
    "PayloadLocationOperacaoInvalida": (
        400,
        "Location inválida.",
        "A presente requisição busca criar uma location sem respeitar o _schema_ estabelecido.",
    ),
    "PayloadLocationConsultaInvalida": (
        400,
        "Consulta inválida.",
        f"Os parâmetros de consulta à lista de locations {_LIST}",
    ),
    "WebhookNaoEncontrado": (
        404,
        "Webhook não encontrado.",
        "O webhook denotado por chave não encontra-se estabelecido.",
    ),
    "WebhookOperacaoInvalida": (
        400,
        "Webhook inválido.",
        "A presente requisição busca criar um webhook sem respeitar o _schema_ "
        "ou, ainda, com sentido semanticamente inválido.",
    ),
    "WebhookConsultaInvalida": (
        400,
        "Consulta inválida.",
        f"Os parâmetros de consulta à lista de webhooks ativados {_LIST}",
    ),
}

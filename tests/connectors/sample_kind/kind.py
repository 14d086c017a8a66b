"""What a Notebook connector is."""

from shared.connectors.check import Check
from shared.connectors.kind import ConnectorKind, Direction, Found, Trial
from shared.domain.errors import HubError
from tests.connectors.sample_kind.document import NotebookConnector
from tests.connectors.sample_kind.reader import PageReader


def _check(connector: NotebookConnector, trial: Trial) -> Found:
    try:
        is_open = trial.secret("/doorCode").get_secret_value() == "7-4-1"
    except HubError as error:
        return Found([Check("secret", False, error.message)])
    message = "the door opens" if is_open else "the door stays locked; set doorCode anew"
    return Found([Check("door", is_open, message)], is_let_in=is_open)


def _remark(connector: NotebookConnector) -> str | None:
    return None if connector.connector_properties.page_count else "reads nothing: there is no page"


NOTEBOOK = ConnectorKind(
    NotebookConnector,
    direction=Direction.POLLING,
    example={"room": "12", "doorCode": "7-4-1"},
    secrets=frozenset({"doorCode"}),
    check=_check,
    remark=_remark,
    reader=PageReader,
)

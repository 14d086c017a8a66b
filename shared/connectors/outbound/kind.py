"""What an Outbound connector is."""

from shared.connectors.check import failures
from shared.connectors.kind import ConnectorKind, Direction, Found, Trial
from shared.connectors.outbound.check import check, check_metadata
from shared.connectors.outbound.document import OutboundConnector

_SAS = "outputBlobSASUri"
_DESTINATION = f"/{_SAS}"


def _check(connector: OutboundConnector, trial: Trial) -> Found:
    sas = trial.secret(_DESTINATION)
    checks = check(sas, trial.settings)
    if failures(checks) is not None:
        return Found(checks)
    metadata = check_metadata(sas, trial.settings, trial.writer(), connector.exports, take_over=trial.take_over)
    return Found([*checks, *metadata], is_let_in=True)


def _remark(connector: OutboundConnector) -> str | None:
    return None if connector.exports else "exports nothing: entityList is empty"


OUTBOUND = ConnectorKind(
    OutboundConnector,
    direction=Direction.WRITTEN,
    example={
        _SAS: "https://partner.blob.core.windows.net/exports?sr=c&sp=cwld&se=2027-03-01T00:00:00Z&sig=...",
        "entityList": [{"entityType": "Profile", "entityName": "Customer"}],
    },
    secrets=frozenset({_SAS}),
    check=_check,
    remark=_remark,
    destination=_DESTINATION,
)

"""Hubs: the tenants; everything else belongs to one."""

from datetime import datetime
from typing import Annotated, ClassVar, Self

from pydantic import Field as Property
from pydantic import model_validator

from shared.domain.document import Document


class HubBilling(Document):
    """Units of the 2017 service; kept for its clients, nothing is billed by them."""

    sku_name: str | None = None
    min_units: Annotated[int, Property(ge=1, le=10)] | None = None
    max_units: Annotated[int, Property(ge=1, le=10)] | None = None

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.min_units is not None and self.max_units is not None and self.min_units > self.max_units:
            raise ValueError("minUnits must not be over maxUnits")
        return self


class Hub(Document):
    """A hub; its request body may be empty."""

    read_only: ClassVar[frozenset[str]] = frozenset(
        {
            "hubName",
            "tenantId",
            "provisioningState",
            "apiEndpoint",
            "webEndpoint",
            "created",
            "lastModified",
        }
    )

    hub_name: str = ""
    location: str | None = None
    tags: dict[str, str] = Property(default_factory=dict)
    display_name: str | None = None
    description: str | None = None
    tenant_features: Annotated[int, Property(ge=0)] | None = None
    hub_billing_info: HubBilling | None = None
    provisioning_state: str = "Succeeded"
    tenant_id: str = ""
    created: datetime | None = None
    last_modified: datetime | None = None

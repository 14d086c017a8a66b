"""Hubs: the tenants; everything else belongs to one."""

import re
from datetime import datetime
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field as Property
from pydantic import field_validator, model_validator

from shared.domain.documents.document import Document
from shared.domain.names import CONTAINER_PATTERN


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


_CONTAINERS = 100


class Hub(Document):
    """A hub; its request body may be empty.

    `sharedContainers` names containers that this hub's mappings read or move files to, or that it exports to, and that
    other hubs may use too.
    """

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
    shared_containers: list[str] = Property(default_factory=list, max_length=_CONTAINERS)
    provisioning_state: str = "Succeeded"
    tenant_id: str = ""
    created: datetime | None = None
    last_modified: datetime | None = None

    @field_validator("shared_containers", mode="before")
    @classmethod
    def _none_for_null(cls, value: Any) -> Any:
        return [] if value is None else value

    @field_validator("shared_containers")
    @classmethod
    def _each_a_container_once(cls, value: list[str]) -> list[str]:
        for at, name in enumerate(value):
            if not re.fullmatch(CONTAINER_PATTERN, name):
                raise ValueError(
                    f"number {at + 1} is no container: use 3 to 63 small letters, digits and single hyphens"
                )
        return list(dict.fromkeys(value))

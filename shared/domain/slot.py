"""Slots: the quarters of an hour, UTC, in which exports are due, and the paths they have."""

import re
from datetime import UTC, datetime, timedelta

SLOT_LENGTH = timedelta(minutes=15)

_PATH = re.compile(
    r"(?P<folder>Profile|KPI)/(?P<name>[^/]+)/year=(?P<year>\d{4})/month=(?P<month>\d{2})/day=(?P<day>\d{2})"
    r"/hour=(?P<hour>\d{2})/min=(?P<minute>00|15|30|45)/data\.csv",
    re.ASCII,
)


def slot_of(moment: datetime) -> datetime:
    """The start of the slot that holds `moment` (aware)."""
    utc = moment.astimezone(UTC)
    return utc.replace(minute=utc.minute - utc.minute % 15, second=0, microsecond=0)


def entity_folder(entity_type: str) -> str:
    """The folder of an entity type: `Profile` or `KPI`."""
    return "KPI" if entity_type.casefold() == "kpi" else "Profile"


def export_folder(entity_type: str, entity_name: str) -> str:
    """The folder of all `data.csv` of an entity: `Profile/NAME`, which its spelling tells from others."""
    return f"{entity_folder(entity_type)}/{entity_name}"


def data_path(entity_type: str, entity_name: str, slot: datetime) -> str:
    """Path of a slot's `data.csv` in the destination's container."""
    return f"{export_folder(entity_type, entity_name)}/{slot:year=%Y/month=%m/day=%d/hour=%H/min=%M}/data.csv"


def metadata_path(entity_type: str, entity_name: str) -> str:
    """Path of an entity's `metadata.json` in the destination's container."""
    return f"Metadata/{export_folder(entity_type, entity_name)}/metadata.json"


def slot_of_path(path: str) -> datetime | None:
    """The slot that a path is for; None where the path is not one that exports have."""
    found = _PATH.fullmatch(path)
    if found is None:
        return None
    digits = "".join(found.group("year", "month", "day", "hour", "minute"))
    try:
        return datetime.strptime(digits, "%Y%m%d%H%M").replace(tzinfo=UTC)
    except ValueError:
        return None

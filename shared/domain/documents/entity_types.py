"""Profile and interaction types: the schema of what a row becomes."""

from datetime import datetime
from typing import Any, ClassVar, Self

from pydantic import Field as Property
from pydantic import model_validator

from shared.domain.documents.document import AnyCaseEnum, Document, InconsistentError
from shared.domain.documents.fields import TIMES, Field, doubled_names, field_named
from shared.domain.names import DefinitionName
from shared.domain.own_names import LAKE_INTERACTIONS, LAKE_PROFILES, plain_lake_path
from shared.domain.shown import shown


class EntityKind(AnyCaseEnum):
    """What a row can become."""

    PROFILE = "Profile"
    INTERACTION = "Interaction"

    @property
    def lake_folder(self) -> str:
        """Folder of a hub in the container `lake` that has the tables of the types of this kind."""
        return LAKE_PROFILES if self is EntityKind.PROFILE else LAKE_INTERACTIONS


class StrongId(Document):
    """A key of a profile type: one field, or several joined with `_`."""

    strong_id_name: DefinitionName
    key_property_names: list[str] = Property(min_length=1)
    display_name: dict[str, str] | str | None = None
    description: dict[str, str] | str | None = None


class Participant(Document):
    """A profile that takes part in an interaction."""

    profile_type_name: str
    participant_name: str
    participant_property_references: list[dict[str, Any]]
    display_name: dict[str, str] | str | None = None
    description: dict[str, str] | str | None = None
    role: str | None = None


class EntityType(Document):
    """What profile and interaction types have in common (2017 EntityTypeDefinition).

    Attributes:
        lake_path: of the folder of its tables in the container `lake`; no other type ever had or will have it.
    """

    read_only: ClassVar[frozenset[str]] = frozenset(
        {
            "typeName",
            "entityType",
            "instancesCount",
            "lastChangedUtc",
            "provisioningState",
            "tenantId",
            "created",
            "lastModified",
            "dataSourcePrecedenceRules",
            "defaultDataSource",
            "lakePath",
        }
    )

    type_name: str = ""
    entity_type: EntityKind = EntityKind.PROFILE
    api_entity_set_name: DefinitionName | None = None
    fields: list[Field] = Property(min_length=1)
    timestamp_field_name: str | None = None
    display_name: dict[str, str] | str | None = None
    description: dict[str, str] | str | None = None
    attributes: dict[str, list[str]] | None = None
    localized_attributes: dict[str, dict[str, str]] | None = None
    small_image: str | None = None
    medium_image: str | None = None
    large_image: str | None = None
    schema_item_type_link: str | None = None
    tenant_id: str = ""
    lake_path: str = ""
    created: datetime | None = None
    last_changed_utc: datetime | None = None

    @model_validator(mode="after")
    def _fields_are_consistent(self) -> Self:
        problems = [
            ("fields", f"the field {shown(name)} stands there more than once")
            for name in doubled_names([f.field_name for f in self.fields])
        ]
        if self.timestamp_field_name is not None:
            stamp = field_named(self.fields, self.timestamp_field_name)
            if stamp is None or stamp.field_type not in TIMES or stamp.is_array:
                message = f"{shown(self.timestamp_field_name)} must be a date or time field of this type, and no array"
                problems.append(("timestampFieldName", message))
        problems += self._key_problems()
        if problems:
            raise InconsistentError(problems)
        return self

    def _key_problems(self) -> list[tuple[str, str]]:
        """(property, message) pairs for keys that cannot be keys."""
        raise NotImplementedError

    def _problems_of_key_field(self, name: str) -> list[str]:
        field = field_named(self.fields, name)
        if field is None:
            return [f"the key names the field {shown(name)}, which this type does not have"]
        return [f"the key field {shown(name)} must not be an array"] if field.is_array else []

    @property
    def key_fields(self) -> list[str]:
        """Names of the fields that make the id of an instance; empty where the id is derived."""
        raise NotImplementedError

    @property
    def kind(self) -> EntityKind:
        """Profile or interaction."""
        raise NotImplementedError

    @property
    def plain_lake_path(self) -> str:
        """`lake_path` of the first type of its kind and name."""
        return plain_lake_path(self.tenant_id, self.kind.lake_folder, self.type_name)

    def field(self, name: str) -> Field | None:
        """The field of that name in any case, or None."""
        return field_named(self.fields, name)

    def fields_by_name(self) -> dict[str, Field]:
        """The fields by their names without case, for who looks for many of them."""
        return {field.field_name.casefold(): field for field in self.fields}


class ProfileType(EntityType):
    """A profile type; its first strong id is the key by which rows are merged."""

    strong_ids: list[StrongId] = Property(min_length=1)

    def _key_problems(self) -> list[tuple[str, str]]:
        problems = [
            (f"strongIds[{at}].keyPropertyNames", problem)
            for at, strong_id in enumerate(self.strong_ids)
            for name in strong_id.key_property_names
            for problem in self._problems_of_key_field(name)
        ]
        doubled = doubled_names([strong_id.strong_id_name for strong_id in self.strong_ids])
        return problems + [
            ("strongIds", f"the strong id {shown(name)} stands there more than once") for name in doubled
        ]

    @property
    def key_fields(self) -> list[str]:
        """Fields of the first strong id, in their order."""
        return [self._own_name(name) for name in self.strong_ids[0].key_property_names]

    def _own_name(self, name: str) -> str:
        field = self.field(name)
        return field.field_name if field else name

    @property
    def kind(self) -> EntityKind:
        """Profile."""
        return EntityKind.PROFILE


class InteractionType(EntityType):
    """An interaction type; without `idPropertyNames` the id is derived from path, row and occurrence."""

    entity_type: EntityKind = EntityKind.INTERACTION
    id_property_names: list[str] = Property(default_factory=list)
    participant_profiles: list[Participant] = Property(default_factory=list)
    primary_participant_profile_property_name: str | None = None
    is_activity: bool = False

    def _key_problems(self) -> list[tuple[str, str]]:
        return [
            ("idPropertyNames", problem)
            for name in self.id_property_names
            for problem in self._problems_of_key_field(name)
        ]

    @property
    def key_fields(self) -> list[str]:
        """Fields named by `idPropertyNames`, in their order."""
        return [field.field_name if (field := self.field(name)) else name for name in self.id_property_names]

    @property
    def kind(self) -> EntityKind:
        """Interaction."""
        return EntityKind.INTERACTION

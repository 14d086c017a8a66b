"""What a SAS says of itself, before any call."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from shared.domain.errors import InvalidRequestError
from shared.settings import Settings
from shared.storage.blob.sas import ContainerSas, read_container_sas

BASE = "https://contoso.blob.core.windows.net/partner"
QUERY = "sv=2025-11-05&sr=c&sp=cwld&se=2999-01-01T00:00:00Z&sig=MARKER%3D"


def read(url: str, environment: str = "Production") -> ContainerSas:
    settings = Settings(azure_functions_environment=environment, development_endpoints=("http://127.0.0.1:10000",))
    return read_container_sas(SecretStr(url), settings)


def test_a_sas_is_taken_apart() -> None:
    sas = read(f"  {BASE}/?{QUERY}&st=2026-01-01&spr=https\n")
    assert (sas.account, sas.container, sas.container_url) == ("contoso", "partner", BASE)
    assert sas.rights == frozenset("cwld")
    assert sas.starts == datetime(2026, 1, 1, tzinfo=UTC)
    assert sas.expires == datetime(2999, 1, 1, tzinfo=UTC)
    assert sas.refusal("w") is None
    assert "MARKER" not in repr(sas)


@pytest.mark.parametrize(
    "query",
    [
        "sr=c&sp=rcwl&se=2999-01-01&sig=x",
        "sr=c&sp=racwdlt&se=2999-01-01T00%3A00%3A00Z&st=2020-01-01T00%3A00%3A00Z&sip=1.2.3.4&spr=https,http&sig=x",
        "sr=c&si=policy&sig=x",
        "sr=c&si=policy&se=2999-01-01T00:00Z&sig=x",
        "skoid=1&sktid=2&skt=2026-01-01&ske=2999-01-01&sks=b&skv=2025-11-05&sr=c&sp=cwl&se=2999-01-01&sig=x",
    ],
)
def test_shapes_that_are_taken(query: str) -> None:
    assert read(f"{BASE}?{query}").container == "partner"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "MARKER",
        f"partner?{QUERY}",
        BASE,
        f"{BASE}?sv=1",
        f"{BASE}?{QUERY.replace('&sig=MARKER%3D', '')}",
        f"{BASE}?{QUERY.replace('sig=MARKER%3D', 'sig=')}",
        f"{BASE}?{QUERY.replace('sr=c', 'sr=b')}",
        f"{BASE}?{QUERY.replace('sr=c', 'sr=d&sdd=1')}",
        f"{BASE}?{QUERY.replace('&sr=c', '')}",
        f"{BASE}?ss=b&srt=co&{QUERY}",
        f"{BASE}?{QUERY}&sr=b",
        f"{BASE}?{QUERY}&SIG=MARKER",
        f"{BASE}?{QUERY.replace('&sp=cwld', '')}",
        f"{BASE}?{QUERY.replace('&se=2999-01-01T00:00:00Z', '')}",
        f"{BASE}?{QUERY.replace('2999-01-01T00:00:00Z', 'MARKER')}",
        f"{BASE}/MARKER?{QUERY}",
        f"{BASE}%2FMARKER?{QUERY}",
        f"https://contoso.blob.core.windows.net/?{QUERY}",
        f"http://contoso.blob.core.windows.net/partner?{QUERY}",
        f"ftp://contoso.blob.core.windows.net/partner?{QUERY}",
        f"https://contoso.file.core.windows.net/partner?{QUERY}",
        f"https://contoso.blob.core.windows.net.evil.example/partner?{QUERY}",
        f"https://evil.example/partner?{QUERY}",
        f"https://contoso.blob.core.windows.net@evil.example/partner?{QUERY}",
        f"https://user:MARKER@contoso.blob.core.windows.net/partner?{QUERY}",
        f"https://contoso.blob.core.windows.net:444/partner?{QUERY}",
        f"https://127.0.0.1/devstoreaccount1/partner?{QUERY}",
        f"http://127.0.0.1:10000/devstoreaccount1/partner?{QUERY}",
        f"https://169.254.169.254/partner?{QUERY}",
        f"https://[fd00::1]/partner?{QUERY}",
        f"https://2130706433/partner?{QUERY}",
    ],
)
def test_everything_else_is_refused_without_an_echo(url: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        read(url)
    [fault] = refused.value.details
    assert fault.target == "connectorProperties.outputBlobSASUri"
    assert "MARKER" not in str(refused.value)
    assert "evil" not in str(refused.value)


def test_loopback_is_for_development_alone() -> None:
    sas = read(f"http://127.0.0.1:10000/devstoreaccount1/partner?{QUERY}", "Development")
    assert (sas.account, sas.container) == ("devstoreaccount1", "partner")
    assert sas.container_url == "http://127.0.0.1:10000/devstoreaccount1/partner"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"])
def test_the_stacks_own_port_is_taken_in_any_spelling_and_no_other(host: str) -> None:
    sas = read(f"http://{host}:10000/devstoreaccount1/partner?{QUERY}", "Development")
    assert sas.container_url == "http://127.0.0.1:10000/devstoreaccount1/partner"
    for port in ("", ":0", ":9", ":10001", ":10002", ":10010"):
        with pytest.raises(InvalidRequestError, match="DEVELOPMENT_ENDPOINTS"):
            read(f"http://{host}{port}/devstoreaccount1/partner?{QUERY}", "Development")


@pytest.mark.parametrize(
    "container",
    [
        "..",
        ".",
        "...",
        "%2e%2e",
        "%2E%2e",
        "%252e%252e",
        "a",
        "ab",
        "x" * 64,
        "-ab",
        "ab-",
        "a--b",
        "a_b",
        "a.b",
        "UPPER",
        "%50artner",
        "$root",
        "$web",
        "$logs",
        "%24web",
        "a%00b",
        "a%0d%0ab",
        "a%5cb",
        "a%20b",
        "a%C3%A9b",
        "a%ffb",
        "a;b",
        "partner%2f",
        "partner%3fx",
        "%2fpartner",
        "partner/..",
        "partner%2f..",
        "%70artner/%2e",
    ],
)
@pytest.mark.parametrize(
    ("account", "environment"),
    [
        ("https://contoso.blob.core.windows.net", "Production"),
        ("http://127.0.0.1:10000/devstoreaccount1", "Development"),
    ],
)
def test_what_is_no_name_of_a_container_is_refused_before_it_is_called(
    account: str, environment: str, container: str
) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        read(f"{account}/{container}?{QUERY}", environment)
    assert refused.value.details[0].code == "InvalidSas"


def test_an_encoded_name_is_called_as_it_is_read() -> None:
    sas = read(f"https://contoso.blob.core.windows.net/%70artner-1?{QUERY}")
    assert (sas.container, sas.container_url) == ("partner-1", "https://contoso.blob.core.windows.net/partner-1")


def validity(**at: timedelta) -> str:
    now = datetime.now(UTC)
    return "".join(f"&{name}={now + offset:%Y-%m-%dT%H:%M:%SZ}" for name, offset in at.items())


@pytest.mark.parametrize(
    ("times", "rights", "right", "code"),
    [
        ({"se": timedelta(seconds=-2)}, "cwld", "w", "SasExpired"),
        ({"se": timedelta(hours=1)}, "cwld", "w", None),
        ({"st": timedelta(hours=1), "se": timedelta(hours=2)}, "cwld", "w", "SasNotYetValid"),
        ({"st": timedelta(hours=-1), "se": timedelta(hours=2)}, "cwld", "d", None),
        ({"se": timedelta(hours=1)}, "cwl", "d", "SasRightMissing"),
        ({"se": timedelta(hours=1)}, "l", "cw", "SasRightMissing"),
        ({"se": timedelta(hours=1)}, "rw", "w", None),
    ],
)
def test_a_sas_tells_why_it_is_refused(times: dict[str, timedelta], rights: str, right: str, code: str | None) -> None:
    sas = read(f"{BASE}?sr=c&sp={rights}&sig=MARKER{validity(**times)}")
    refusal = sas.refusal(right)
    assert (refusal.code if refusal else None) == code
    assert "MARKER" not in str(refusal)


def test_a_missing_right_is_named() -> None:
    refusal = read(f"{BASE}?sr=c&sp=r&se=2999-01-01&sig=x").refusal("cwl")
    assert refusal is not None
    for right in ("create", "write", "list"):
        assert right in refusal.message


def test_a_stored_access_policy_may_hold_the_rights() -> None:
    sas = read(f"{BASE}?sr=c&si=policy&sig=x")
    assert sas.rights is None
    assert sas.missing("cwld") == []
    assert sas.refusal("w") is None

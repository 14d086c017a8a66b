"""Where spans and metrics go: to an OTLP endpoint where one is set; else nowhere, and nothing is loaded for them.

This app's own providers make them, not the global ones: what libraries record by themselves has URLs in it, and so the
names of blobs and the keys of entities.
"""

import atexit
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.metrics import Meter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Tracer

_NAME = "connector-hub"
# A process that ends waits for the last answers, and the host does not wait for long.
_ANSWER_S = 3.0


@dataclass(frozen=True, slots=True)
class Recorders:
    """What spans and metrics are made with, once OpenTelemetry is loaded."""

    tracer: "Tracer"
    meter: "Meter"
    providers: "tuple[TracerProvider, MeterProvider]"


class Exporter:
    """Sends what is recorded in this process to the endpoint of the settings. Safe for use by many threads."""

    def __init__(self) -> None:
        self._settings: Settings | None = None
        self._recorders: Recorders | None = None
        self._loading = threading.Lock()

    def start(self, settings: Settings) -> None:
        """Has what is recorded from now on exported as the settings say; loads nothing yet."""
        self._settings = settings if settings.otel_exporter_otlp_endpoint else None

    def recorders(self) -> Recorders | None:
        """The recorders, loaded at the first call; None where nothing is exported."""
        if self._settings is None or self._recorders is not None:
            return self._recorders
        with self._loading:
            if self._recorders is None and self._settings is not None:
                self._recorders = _load(self._settings)
                atexit.register(self.stop)
            return self._recorders

    def stop(self) -> None:
        """Sends what is recorded and not sent yet, and exports nothing more."""
        with self._loading:
            recorders, self._recorders, self._settings = self._recorders, None, None
        if recorders is not None:
            atexit.unregister(self.stop)
            for provider in recorders.providers:
                provider.shutdown()


EXPORTER = Exporter()


def _load(settings: Settings) -> Recorders:
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ALWAYS_ON
    from opentelemetry.util.re import parse_env_headers

    endpoint = (settings.otel_exporter_otlp_endpoint or "").rstrip("/")
    secret = settings.otel_exporter_otlp_headers
    headers = parse_env_headers(secret.get_secret_value(), liberal=True) if secret else {}
    spans = OTLPSpanExporter(f"{endpoint}/v1/traces", headers=headers, timeout=_ANSWER_S)
    metrics = OTLPMetricExporter(f"{endpoint}/v1/metrics", headers=headers, timeout=_ANSWER_S)
    # What OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say comes first.
    resource = Resource({"service.name": _NAME}).merge(OTELResourceDetector().detect())
    # The host leaves most of its own traces out, and says so in their flags; a run is to be followed whole.
    tracing = TracerProvider(sampler=ALWAYS_ON, resource=resource, shutdown_on_exit=False)
    tracing.add_span_processor(BatchSpanProcessor(spans))
    metering = MeterProvider([PeriodicExportingMetricReader(metrics)], resource=resource, shutdown_on_exit=False)
    return Recorders(tracing.get_tracer(_NAME), metering.get_meter(_NAME), (tracing, metering))

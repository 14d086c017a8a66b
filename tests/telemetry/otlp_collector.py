"""A collector of this process: takes what is exported by OTLP over HTTP, and gives it as tests ask for it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from pydantic import SecretStr

from shared.settings import Settings
from shared.telemetry.export import EXPORTER

KEY = "the collector's key"


@dataclass
class Collected:
    """What came in, also as text; complete once the exporter has stopped.

    Attributes:
        keys: that the requests had.
        may_answer: to be cleared where no request is to be answered for the time being.
    """

    spans: list[Span] = field(default_factory=list)
    metrics: dict[str, Metric] = field(default_factory=dict)
    keys: set[str | None] = field(default_factory=set)
    may_answer: threading.Event = field(default_factory=threading.Event)
    text: str = ""

    def span(self, name: str) -> Span:
        """The one span of a name."""
        [found] = [span for span in self.spans if span.name == name]
        return found

    def failed(self) -> dict[str, str]:
        """What ended the spans that say that something went wrong, by the names of these."""
        return {
            span.name: facts(span.attributes)["error.type"]
            for span in self.spans
            if span.status.code == Status.STATUS_CODE_ERROR
        }


def facts(attributes: Any) -> dict[str, Any]:
    """Attributes by their names."""
    return {each.key: _value(each) for each in attributes}


def _value(attribute: KeyValue) -> Any:
    return getattr(attribute.value, str(attribute.value.WhichOneof("value")))


@contextmanager
def exported(settings: Settings) -> Iterator[Collected]:
    """Within it, spans and metrics are exported; after it, all of them have come in."""
    collected = Collected()
    collected.may_answer.set()
    with ThreadingHTTPServer(("127.0.0.1", 0), _answering(collected)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        endpoint = f"http://127.0.0.1:{server.server_port}"
        headers = SecretStr(f"api-key={KEY}")
        told = {"otel_exporter_otlp_endpoint": endpoint, "otel_exporter_otlp_headers": headers}
        EXPORTER.start(settings.model_copy(update=told))
        try:
            yield collected
        finally:
            collected.may_answer.set()
            EXPORTER.stop()
            server.shutdown()
            thread.join()


def _answering(collected: Collected) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            collected.may_answer.wait()
            collected.keys.add(self.headers["api-key"])
            if self.path == "/v1/traces":
                traces = ExportTraceServiceRequest.FromString(body)
                collected.text += str(traces)
                collected.spans += [
                    span for each in traces.resource_spans for scope in each.scope_spans for span in scope.spans
                ]
            elif self.path == "/v1/metrics":
                metrics = ExportMetricsServiceRequest.FromString(body)
                collected.text += str(metrics)
                for each in metrics.resource_metrics:
                    for scope in each.scope_metrics:
                        collected.metrics |= {metric.name: metric for metric in scope.metrics}
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    return Handler

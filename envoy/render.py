# ruff: noqa: INP001 - a script beside its template; a package named envoy would hide the one that brings the binary
"""Render envoy.yaml.tmpl into a configuration for Envoy; the defaults are those of the local stack.

`python envoy/render.py --out var/envoy.yaml` on the loopback, or for a container
`python envoy/render.py --out envoy.yaml --listen 0.0.0.0 --gateway backend:15051 ...`.
"""

import argparse
import dataclasses
import json
import pathlib
import string

ROOT = pathlib.Path(__file__).resolve().parent.parent
TEMPLATE = ROOT / "envoy" / "envoy.yaml.tmpl"
PORT_MAX = 65535


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """Where Envoy listens, and what stands behind it."""

    listen_address: str
    gateway_port: int
    model_port: int
    dashboard_port: int
    admin_port: int
    gateway: tuple[str, int]
    model: tuple[str, int]
    descriptors: str
    frontend: str


def main() -> None:
    """Write the configuration to the file that is asked for."""
    arguments = arguments_parser().parse_args()
    edge = Edge(
        listen_address=arguments.listen,
        gateway_port=arguments.gateway_port,
        model_port=arguments.model_port,
        dashboard_port=arguments.dashboard_port,
        admin_port=arguments.admin_port,
        gateway=arguments.gateway,
        model=arguments.model,
        descriptors=arguments.descriptors,
        frontend=arguments.frontend,
    )
    arguments.out.write_text(render(TEMPLATE.read_text(encoding="utf8"), edge), encoding="utf8")


def render(template: str, edge: Edge) -> str:
    """The template with the edge's values in place, each quoted as JSON, which is YAML too.

    Raises KeyError when the template has a name that nothing here fills.
    """
    values = {
        "ADMIN_PORT": edge.admin_port,
        "LISTEN_ADDRESS": edge.listen_address,
        "GATEWAY_PORT": edge.gateway_port,
        "MODEL_PORT": edge.model_port,
        "DASHBOARD_PORT": edge.dashboard_port,
        "GATEWAY_UPSTREAM_HOST": edge.gateway[0],
        "GATEWAY_UPSTREAM_PORT": edge.gateway[1],
        "MODEL_UPSTREAM_HOST": edge.model[0],
        "MODEL_UPSTREAM_PORT": edge.model[1],
        "DESCRIPTORS": edge.descriptors,
        "FRONTEND": edge.frontend.rstrip("/") + "/",
    }
    return string.Template(template).substitute({name: json.dumps(value) for name, value in values.items()})


def arguments_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, required=True, help="the file to write")
    parser.add_argument("--listen", default="127.0.0.1", help="the address of the three listeners")
    parser.add_argument("--gateway-port", type=port, default=8000, help="JSON, gRPC and grpc-web of the gateway")
    parser.add_argument("--model-port", type=port, default=9000, help="JSON, gRPC and grpc-web of the model service")
    parser.add_argument("--dashboard-port", type=port, default=3000, help="the dashboard")
    parser.add_argument("--admin-port", type=port, default=9901, help="Envoy's own, on the loopback always")
    parser.add_argument("--gateway", type=endpoint, default="127.0.0.1:15051", help="the gateway's host:port")
    parser.add_argument("--model", type=endpoint, default="127.0.0.1:15052", help="the model service's host:port")
    parser.add_argument("--descriptors", default=str(ROOT / "gen" / "descriptors.pb"), help="as Envoy sees the path")
    parser.add_argument("--frontend", default=str(ROOT / "frontend"), help="as Envoy sees the folder")
    return parser


def port(text: str) -> int:
    """A TCP port, 1 to 65535."""
    number = int(text)
    if not 1 <= number <= PORT_MAX:
        raise argparse.ArgumentTypeError(f"{number} is no port; take 1 to {PORT_MAX}")
    return number


def endpoint(text: str) -> tuple[str, int]:
    """A `host:port`."""
    host, separator, number = text.rpartition(":")
    if not separator or not host:
        raise argparse.ArgumentTypeError(f"{text} is no host:port")
    return host, port(number)


if __name__ == "__main__":
    main()

"""Ask a gRPC server for its health, as grpc_health_probe does: exit 0 when SERVING, else 1 with the reason.

`python tools/health_probe.py 127.0.0.1:15051` asks for the server as a whole;
`--service trading.v1.TradeService` for one service.
"""

import argparse
import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

SECONDS_MAX = 2.0  # shorter than the healthcheck's own timeout, so that the reason is told


def main() -> int:
    """Ask once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address", help="host:port")
    parser.add_argument("--service", default="", help="absent: the server as a whole")
    arguments = parser.parse_args()
    with grpc.insecure_channel(arguments.address) as channel:
        request = health_pb2.HealthCheckRequest(service=arguments.service)
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=SECONDS_MAX)
        except grpc.RpcError as error:
            print(f"{arguments.address} does not answer: {error.code().name} {error.details()}", file=sys.stderr)
            return 1
    print(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))
    return 0 if answer.status == health_pb2.HealthCheckResponse.SERVING else 1


if __name__ == "__main__":
    raise SystemExit(main())

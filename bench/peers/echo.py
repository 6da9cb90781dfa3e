"""The floor: a gRPC server that answers the bytes that it was sent, on grpc.aio and uvloop.

No gRPC server in Python that does anything can be faster than this one on the same core.
"""

import argparse

import grpc
import uvloop


async def echo(request: bytes, context: object) -> bytes:  # noqa: ARG001 # grpc calls it with both
    """The request."""
    return request


async def serve(port: int) -> None:
    """Serve until the process is ended."""
    server = grpc.aio.server()
    handlers = {"Echo": grpc.unary_unary_rpc_method_handler(echo)}
    server.add_registered_method_handlers("bench.Echo", handlers)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench.Echo", handlers),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    uvloop.run(serve(parser.parse_args().port))

"""Reading what a refused gRPC call told."""

from dataclasses import dataclass

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2


@dataclass
class Refused:
    """What a refused call told."""

    code: grpc.StatusCode
    reason: str
    metadata: dict[str, str]
    http_status: str
    trailing: dict[str, str | bytes]
    status: status_pb2.Status


async def refused(call) -> Refused:
    """The refusal of `call`; a failure of the test when it succeeds."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    trailing = dict(caught.value.trailing_metadata())
    status = status_pb2.Status.FromString(trailing["grpc-status-details-bin"])
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert info.domain == "tollgate"
    return Refused(
        code=caught.value.code(),
        reason=info.reason,
        metadata=dict(info.metadata),
        http_status=trailing["x-http-status"],
        trailing=trailing,
        status=status,
    )

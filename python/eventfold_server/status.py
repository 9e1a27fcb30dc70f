"""The edge between refusals and gRPC: codes from the catalogue, details as google.rpc.Status."""

from functools import cache

import grpc
from google.protobuf.any_pb2 import Any
from google.rpc import error_details_pb2, status_pb2

from eventfold.v1 import errors_pb2
from eventfold_server.errors import Refusal

DOMAIN = "eventfold"
# gRPC's own name for the trailer that carries a google.rpc.Status.
STATUS_TRAILER = "grpc-status-details-bin"
# Trailers share gRPC's soft limit of 8 KiB; more would hide the error behind another one. The
# details travel as base64, and the message a second time on its own, where each of its bytes can
# take three.
DETAILS_BYTES_MAX = 4096
MESSAGE_BYTES_MAX = 512
# A fact that is shorter is left out rather than cut once more.
_CUT_BYTES_MIN = 16
_PREFIX = "ERROR_REASON_"
_CODES = {code.value[0]: code for code in grpc.StatusCode}


@cache
def code_of(reason: str) -> grpc.StatusCode:
    """The gRPC code that the catalogue gives to the reason."""
    value = errors_pb2.ErrorReason.DESCRIPTOR.values_by_name[_PREFIX + reason]
    return _CODES[value.GetOptions().Extensions[errors_pb2.error].code]


def to_status(refusal: Refusal) -> status_pb2.Status:
    """The refusal as google.rpc.Status, under 4 KiB: the longest facts are shortened first."""
    facts = dict(refusal.facts)
    message = _shortened(refusal.message, MESSAGE_BYTES_MAX)
    while True:
        info = error_details_pb2.ErrorInfo(reason=refusal.reason, domain=DOMAIN, metadata=facts)
        detail = Any()
        detail.Pack(info)
        status = status_pb2.Status(
            code=code_of(refusal.reason).value[0], message=message, details=[detail]
        )
        if status.ByteSize() <= DETAILS_BYTES_MAX or not facts:
            return status
        longest = max(facts, key=lambda name: len(facts[name].encode()))
        size = len(facts[longest].encode())
        if size <= _CUT_BYTES_MIN:
            del facts[longest]
        else:
            facts[longest] = _shortened(facts[longest], size // 2)


def _shortened(text: str, bytes_max: int) -> str:
    encoded = text.encode()
    if len(encoded) <= bytes_max:
        return text
    return encoded[: max(bytes_max - 3, 0)].decode(errors="ignore") + "..."

"""References to folds, as requests make them."""

from eventfold.v1 import folds_pb2 as pb
from eventfold_server.domain import requests
from eventfold_server.domain.folding import FoldRef


def fold_ref(fold: pb.FoldRef) -> FoldRef:
    """The fold that a request asks for."""
    match fold.WhichOneof("kind"):
        case "name":
            return FoldRef(requests.text("fold.name", fold.name), None)
        case "source":
            return FoldRef(None, fold.source)
    raise requests.invalid("fold", "is required: a name or a source")

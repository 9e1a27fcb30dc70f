"""Code in the languages of clients, made of the schemas of event types."""

from eventfold._codegen.bundle import Bundle, Document
from eventfold._codegen.errors import GenerateFailed
from eventfold._codegen.python import Style, to_python
from eventfold._codegen.sources import of_folder, of_store
from eventfold._codegen.typescript import to_typescript

__all__ = [
    "Bundle",
    "Document",
    "GenerateFailed",
    "Style",
    "of_folder",
    "of_store",
    "to_python",
    "to_typescript",
]

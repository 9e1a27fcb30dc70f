"""The RPCs by which personal data are declared, found, deleted and erased."""

from eventfold._methods import Method, Safety
from eventfold.v1 import deletion_pb2 as deletion_pb
from eventfold.v1 import erasure_pb2 as erasure_pb
from eventfold.v1 import keys_pb2 as keys_pb
from eventfold.v1 import links_pb2 as links_pb
from eventfold.v1 import privacy_pb2 as privacy_pb
from eventfold.v1 import subjects_pb2 as subjects_pb

_PRIVACY = "/eventfold.v1.Privacy/"
_KEYS = "/eventfold.v1.Keys/"
_DELETION = "/eventfold.v1.Deletion/"
_ERASURES = "/eventfold.v1.Erasures/"
_LINKS = "/eventfold.v1.Links/"
_SUBJECTS = "/eventfold.v1.Subjects/"

PUT_PRIVACY_RULES = Method(
    _PRIVACY + "PutPrivacyRules",
    privacy_pb.PutPrivacyRulesRequest,
    privacy_pb.PutPrivacyRulesResponse,
    Safety.WRITE,
    streams=True,
)
CHECK_PRIVACY_RULES = Method(
    _PRIVACY + "CheckPrivacyRules",
    privacy_pb.CheckPrivacyRulesRequest,
    privacy_pb.CheckPrivacyRulesResponse,
    streams=True,
)
GET_PRIVACY_RULES = Method(
    _PRIVACY + "GetPrivacyRules",
    privacy_pb.GetPrivacyRulesRequest,
    privacy_pb.GetPrivacyRulesResponse,
)
LIST_PRIVACY_RULES = Method(
    _PRIVACY + "ListPrivacyRules",
    privacy_pb.ListPrivacyRulesRequest,
    privacy_pb.ListPrivacyRulesResponse,
)
DROP_PRIVACY_RULES = Method(
    _PRIVACY + "DropPrivacyRules",
    privacy_pb.DropPrivacyRulesRequest,
    privacy_pb.DropPrivacyRulesResponse,
    Safety.WRITE,
)
ROTATE_MASTER_KEY = Method(
    _KEYS + "RotateMasterKey",
    keys_pb.RotateMasterKeyRequest,
    keys_pb.RotateMasterKeyResponse,
    # What was wrapped anew is not wrapped again.
    safety=Safety.READ,
)
ROTATE_DATA_KEY = Method(
    _KEYS + "RotateDataKey",
    keys_pb.RotateDataKeyRequest,
    keys_pb.RotateDataKeyResponse,
    safety=Safety.WRITE,
)
READMIT_SUBJECT = Method(
    _KEYS + "ReadmitSubject",
    keys_pb.ReadmitSubjectRequest,
    keys_pb.ReadmitSubjectResponse,
    safety=Safety.WRITE,
)
GET_SUBJECT = Method(_KEYS + "GetSubject", keys_pb.GetSubjectRequest, keys_pb.GetSubjectResponse)
LIST_SUBJECTS = Method(
    _KEYS + "ListSubjects", keys_pb.ListSubjectsRequest, keys_pb.ListSubjectsResponse
)
PLAN_DELETE = Method(
    _DELETION + "PlanDelete",
    deletion_pb.PlanDeleteRequest,
    deletion_pb.PlanDeleteResponse,
)
DELETE_STREAM = Method(
    _DELETION + "DeleteStream",
    deletion_pb.DeleteStreamRequest,
    deletion_pb.DeleteStreamResponse,
    safety=Safety.WRITE,
)
GET_DELETION = Method(
    _DELETION + "GetDeletion",
    deletion_pb.GetDeletionRequest,
    deletion_pb.GetDeletionResponse,
)
LIST_DELETIONS = Method(
    _DELETION + "ListDeletions",
    deletion_pb.ListDeletionsRequest,
    deletion_pb.ListDeletionsResponse,
)
PLAN_ERASE = Method(
    _ERASURES + "PlanErase", erasure_pb.PlanEraseRequest, erasure_pb.PlanEraseResponse
)
ERASE = Method(
    _ERASURES + "Erase", erasure_pb.EraseRequest, erasure_pb.EraseResponse, safety=Safety.WRITE
)
GET_ERASURE = Method(
    _ERASURES + "GetErasure", erasure_pb.GetErasureRequest, erasure_pb.GetErasureResponse
)
LIST_ERASURES = Method(
    _ERASURES + "ListErasures", erasure_pb.ListErasuresRequest, erasure_pb.ListErasuresResponse
)
PUT_LEGAL_HOLD = Method(
    _ERASURES + "PutLegalHold",
    erasure_pb.PutLegalHoldRequest,
    erasure_pb.PutLegalHoldResponse,
    safety=Safety.WRITE,
)
RELEASE_LEGAL_HOLD = Method(
    _ERASURES + "ReleaseLegalHold",
    erasure_pb.ReleaseLegalHoldRequest,
    erasure_pb.ReleaseLegalHoldResponse,
    safety=Safety.WRITE,
)
LIST_LEGAL_HOLDS = Method(
    _ERASURES + "ListLegalHolds",
    erasure_pb.ListLegalHoldsRequest,
    erasure_pb.ListLegalHoldsResponse,
)
PUT_LINK_RULE = Method(
    _LINKS + "PutLinkRule",
    links_pb.PutLinkRuleRequest,
    links_pb.PutLinkRuleResponse,
    safety=Safety.WRITE,
)
DROP_LINK_RULE = Method(
    _LINKS + "DropLinkRule",
    links_pb.DropLinkRuleRequest,
    links_pb.DropLinkRuleResponse,
    safety=Safety.WRITE,
)
LIST_LINK_RULES = Method(
    _LINKS + "ListLinkRules",
    links_pb.ListLinkRulesRequest,
    links_pb.ListLinkRulesResponse,
)
PUT_LINK = Method(
    _LINKS + "PutLink",
    links_pb.PutLinkRequest,
    links_pb.PutLinkResponse,
    safety=Safety.WRITE,
)
DROP_LINK = Method(
    _LINKS + "DropLink",
    links_pb.DropLinkRequest,
    links_pb.DropLinkResponse,
    safety=Safety.WRITE,
)
LIST_LINKS = Method(
    _LINKS + "ListLinks",
    links_pb.ListLinksRequest,
    links_pb.ListLinksResponse,
)
FIND_SUBJECT = Method(
    _SUBJECTS + "FindSubject",
    subjects_pb.FindSubjectRequest,
    subjects_pb.FindSubjectResponse,
)
EXPORT_SUBJECT = Method(
    _SUBJECTS + "ExportSubject",
    subjects_pb.ExportSubjectRequest,
    bytes,
    streams=True,
)
GET_PRIVACY_STATUS = Method(
    _SUBJECTS + "GetPrivacyStatus",
    subjects_pb.GetPrivacyStatusRequest,
    subjects_pb.GetPrivacyStatusResponse,
)

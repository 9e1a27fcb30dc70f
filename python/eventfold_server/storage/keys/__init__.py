"""The key store: data keys of subjects, apart from the log; and the ledger of fences, apart from
both.
"""

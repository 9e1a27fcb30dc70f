"""What stands around every call: identity, permissions, deadlines, errors."""

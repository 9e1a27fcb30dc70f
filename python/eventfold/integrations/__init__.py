"""Adapters that let other libraries keep their events in eventfold; each is imported by itself."""

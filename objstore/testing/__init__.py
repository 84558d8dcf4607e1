"""Fakes and fault injection, imported only by tests and bench."""

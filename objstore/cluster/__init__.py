"""Agreeing on who the cluster is: bootstrap and membership."""

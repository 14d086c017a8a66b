"""Blobs: the hub's own containers, a partner's, and what a SAS says of one."""

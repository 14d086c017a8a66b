"""The secrets of connectors: out of the document and into the vault."""

"""CRM: a Dynamics CRM organisation is read."""

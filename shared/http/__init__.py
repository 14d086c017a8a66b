"""The HTTP interface: routes, answers and errors; what they mean is decided in the layers below."""

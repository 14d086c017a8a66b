"""A stand-in for the Azure Functions host, which drives Microsoft's own worker library over the app.

It serves what the real host serves to this kind of app: HTTP routes, the Event Grid webhook, storage queues,
timers, the admin API. Not here: keys and authLevel (loopback asks for no login), scale-out, leases, blob
triggers, function-level retry policies, functionTimeout. `tests/host` holds it to what any host must do.
"""

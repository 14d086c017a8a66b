"""What starts a function: HTTP, queues, timers, Event Grid and the administrator."""

"""The one domain module that all functions of the app share."""

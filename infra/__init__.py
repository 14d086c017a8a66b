"""What the app runs on: the local stack for development and tests, and the Azure resources."""

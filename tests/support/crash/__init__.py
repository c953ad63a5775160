"""The crash harness: a service that is killed, its customers, and the audit of what is left."""

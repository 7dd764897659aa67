"""The dashboard: one HTML shell and static ES modules. It talks to `/v1` like any other client; see README.md here."""

//! For tests: throw-away PostgreSQL and Redis, a raw HTTP client, scripted origins.

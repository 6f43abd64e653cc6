//! Event loops, listeners, connections and their deadlines and limits, TLS, shutdown; the router.

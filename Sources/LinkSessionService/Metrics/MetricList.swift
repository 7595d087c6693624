internal import PrometheusMetrics

/// Every metric, once: what is not here is not exposed, and a test compares docs/operate.md.
///
/// Names follow OpenTelemetry's semantic conventions and Prometheus's, where they have one. No label comes from a client:
/// routes, statements, pools and outcomes are the program's own, suppliers an operator's.
enum MetricList {
    static let all = http + database + domain + webhooks + upkeep + process

    private static let seconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2]

    private static let http = [
        MetricDescription(
            "http_server_request_duration_seconds", .durations(seconds), labels: ["route", "method", "status"],
            mostSeries: 500, "From a request's head to its answer, by the route's template."),
        MetricDescription(
            "http_server_active_requests", .gauge,
            "Requests that are not answered yet, but for those that wait for events."),
        MetricDescription("http_server_open_connections", .gauge, "Connections of clients."),
        MetricDescription(
            "http_server_connection_places_taken", .gauge,
            "What connections take of the places there are; one with a large request takes several."),
        MetricDescription("http_server_connection_places", .gauge, "Places that connections can take."),
        MetricDescription(
            "http_server_refused_connections_total", .counter, labels: ["reason"],
            "Connections that ended with a refusal."),
        MetricDescription(
            "http_server_rate_limited_requests_total", .counter, labels: ["limit"],
            "Requests beyond a rate limit: of a manufacturer's creates or other requests, or of a client address."),
    ]

    private static let database = [
        MetricDescription(
            "db_client_connections", .gauge, labels: ["pool"], "Connections to the database that are made."),
        MetricDescription(
            "db_client_connections_max", .gauge, labels: ["pool"], "Connections that there should be."),
        MetricDescription(
            "db_client_connects_total", .counter, labels: ["pool"],
            "Connections made since the start: more than db_client_connections_max were made anew."),
        MetricDescription(
            "db_client_connect_failures_total", .counter, labels: ["pool"], "Connections that could not be made."),
        MetricDescription(
            "db_client_queue_length", .gauge, labels: ["pool", "class"], "Queries that wait for a connection."),
        MetricDescription(
            "db_client_queue_oldest_seconds", .gauge, labels: ["pool", "class"],
            "How long the oldest of them has waited."),
        MetricDescription(
            "db_client_queue_refused_total", .counter, labels: ["pool", "class"],
            "Queries that found too many waiting."),
        MetricDescription(
            "db_client_queue_timeouts_total", .counter, labels: ["pool", "class"],
            "Queries whose time was over before a connection took them."),
        MetricDescription(
            "db_client_operation_duration_seconds", .durations(seconds), labels: ["statement"],
            "An execution of a statement, for all callers that it answers."),
        MetricDescription(
            "db_client_group_size", .sizes([1, 2, 4, 8, 16, 32, 64, 128, 256]), labels: ["statement"],
            "Callers that one execution of a grouped statement answers."),
    ]

    private static let domain = [
        MetricDescription("link_sessions_created_total", .counter, "Sessions that this replica created."),
        MetricDescription(
            "link_session_events_total", .counter, labels: ["event"],
            "Events that this replica put into the feed; the sum of all replicas is all, and the ends are among them."),
        MetricDescription(
            "link_session_sign_ins_total", .counter, labels: ["supplier", "outcome"], mostSeries: 500,
            "Sign-ins by supplier: started, signed_in, or why not."),
        MetricDescription(
            "link_session_supplier_failing", .gauge, labels: ["supplier"],
            "1 where sign-ins at a supplier keep failing, over all replicas."),
        MetricDescription(
            "link_session_event_feed_waiting_events", .gauge,
            "Events that have no position in the feed yet, 10000 at most."),
        MetricDescription(
            "link_session_event_feed_oldest_waiting_seconds", .gauge, "How long the oldest of them has waited."),
        MetricDescription(
            "link_session_event_feed_last_position_timestamp_seconds", .gauge,
            "When the feed got its latest event, as Unix time."),
        MetricDescription(
            "link_session_event_feed_waiting_requests", .gauge, "Requests that wait for events or a session's end."),
    ]

    private static let webhooks = [
        MetricDescription(
            "link_session_webhook_deliveries_total", .counter, labels: ["outcome"],
            "Attempts of this replica to send an event: taken, failed, gone (410), or not_sent by a fault of ours."),
        MetricDescription(
            "link_session_webhook_delivery_duration_seconds",
            .durations([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]),
            "From an event's being sent to the receiver's answer, or to there being none."),
        MetricDescription(
            "link_session_webhook_leases", .gauge, "Webhooks that this replica sends to; their sum is all."),
        MetricDescription(
            "link_session_webhook_backlog_events", .gauge,
            "Events that these have yet to take, about 1000 of each at most."),
        MetricDescription(
            "link_session_webhook_oldest_seconds", .gauge, "How long the oldest of them has waited."),
        MetricDescription(
            "link_session_webhook_endpoints", .gauge, labels: ["state"],
            "Webhooks that are not disabled: active, failing, paused after three days, or stopped by 410."),
        MetricDescription(
            "link_session_webhook_endpoints_without_lease", .gauge,
            "Active and failing webhooks that no replica sends to."),
        MetricDescription(
            "link_session_webhook_given_up_events", .gauge,
            "Events that failed for three days while others were taken: an operator has to resume their webhook."),
    ]

    private static let upkeep = [
        MetricDescription("link_session_ready", .gauge, "1 where /health/ready says yes."),
        MetricDescription(
            "link_session_health_check", .gauge, labels: ["check"],
            "1 where a check of /health/ready is in order; migrations is among them."),
        MetricDescription(
            "link_session_control_plane_age_seconds", .gauge,
            "How old the copy of manufacturers, keys and suppliers is; beyond 1 requests get 503."),
        MetricDescription("link_session_replicas", .gauge, "Replicas that are connected to the database."),
        MetricDescription(
            "link_session_partitions_ahead", .gauge, "Days to come, from tomorrow on, that have their partitions."),
        MetricDescription(
            "link_session_default_partition_rows", .gauge,
            "Rows for whose day there is no partition, as PostgreSQL's statistics have it."),
        MetricDescription(
            "link_session_retention_last_success_timestamp_seconds", .gauge,
            "When this replica last finished a pass over the partitions, as Unix time; one replica does at a time."),
        MetricDescription(
            "link_session_database_state_timestamp_seconds", .gauge,
            "When the gauges that come from the database were last read, as Unix time."),
        MetricDescription(
            "link_session_build_info", .gauge, labels: ["schema"], "1; the latest migration that this build carries."),
    ]

    private static let process = [
        MetricDescription("process_cpu_seconds_total", .counter, "Processor time, in whole seconds."),
        MetricDescription("process_open_fds", .gauge, "Open descriptors."),
        MetricDescription("process_max_fds", .gauge, "Descriptors that the process may have."),
        MetricDescription("process_resident_memory_bytes", .gauge, "Resident memory."),
        MetricDescription("process_virtual_memory_bytes", .gauge, "Virtual memory."),
        MetricDescription("process_threads", .gauge, "Threads."),
        MetricDescription("process_start_time_seconds", .gauge, "When the process started, as Unix time."),
    ]
}

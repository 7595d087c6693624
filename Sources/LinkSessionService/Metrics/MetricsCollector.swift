internal import Foundation
internal import HTTPFront
internal import HTTPServer
internal import LinkSessionRepository
internal import LinkSessions
internal import Logging
internal import PostgresClient
internal import PrometheusMetrics
internal import ServiceLifecycle
internal import Webhooks

/// Sets the metrics that nobody counts. What this process knows is read when it is asked for; what takes a query or a
/// look at the file system is read every 15 s, so that a scrape waits for nothing.
struct MetricsCollector: Service {
    private static let interval = Duration.seconds(15)
    private static let queryTime = Duration.seconds(2)

    let registry: MetricsRegistry
    let server: HTTPServer
    let databases: [DatabaseClient]
    let controlPlane: ControlPlaneCache
    let supplierHealth: SupplierHealth
    let watcher: EventFeedWatcher
    let webhooks: WebhookDeliverer
    let readiness: Readiness
    let state: OperationalStateRepository
    let schema: MigrationHistory
    let logger: Logger

    /// Reads what the database and the system tell, until graceful shutdown or cancellation.
    func run() async throws {
        registry.set("process_start_time_seconds", to: Date.now.timeIntervalSince1970)
        registry.set("link_session_build_info", [schema.migrations.last?.name ?? ""], to: 1)
        await cancelWhenGracefulShutdown {
            // A look before the first connections are made would find nothing for 15 s.
            await controlPlane.waitUntilFresh(for: .seconds(2))
            while !Task.isCancelled {
                collectProcess()
                await collectReadiness()
                await collectState()
                try? await Task.sleep(for: Self.interval)
            }
        }
    }

    /// Takes no time: for every scrape.
    func collect() {
        let http = server.statistics
        registry.set("http_server_active_requests", to: Double(http.activeRequests))
        registry.set("http_server_open_connections", to: Double(http.connections))
        registry.set("http_server_connection_places_taken", to: Double(http.placesTaken))
        registry.set("http_server_connection_places", to: Double(http.places))
        for database in databases { collect(database.statistics) }
        if let age = controlPlane.age { registry.set("link_session_control_plane_age_seconds", to: age / .seconds(1)) }
        registry.replace(
            "link_session_supplier_failing",
            with: (controlPlane.latest?.suppliers ?? []).map { supplier in
                ([supplier.slug.text], supplierHealth.isFailing(supplier.slug) ? 1 : 0)
            })
        registry.set("link_session_event_feed_waiting_requests", to: Double(watcher.waiting))
        let (endpoints, backlog) = webhooks.statistics
        registry.set("link_session_webhook_leases", to: Double(endpoints))
        registry.set("link_session_webhook_backlog_events", to: Double(backlog.events))
        registry.set("link_session_webhook_oldest_seconds", to: backlog.oldestSeconds)
    }

    private func collect(_ database: DatabaseStatistics) {
        // Of `link-session-service keys` what tells it apart.
        let pool = database.name.split(separator: " ").dropFirst().first.map(String.init) ?? "requests"
        registry.set("db_client_connections", [pool], to: Double(database.connected))
        registry.set("db_client_connections_max", [pool], to: Double(database.connections))
        registry.set("db_client_connects_total", [pool], to: Double(database.connects))
        registry.set("db_client_connect_failures_total", [pool], to: Double(database.failedConnects))
        for queue in database.queues where pool == "requests" || queue.serviceClass == .first {
            let labels = [pool, queue.serviceClass == .first ? "first" : "second"]
            let oldest = queue.oldest.map { (ContinuousClock.now - $0) / .seconds(1) } ?? 0
            registry.set("db_client_queue_length", labels, to: Double(queue.waiting))
            registry.set("db_client_queue_oldest_seconds", labels, to: oldest)
            registry.set("db_client_queue_refused_total", labels, to: Double(queue.refused))
            registry.set("db_client_queue_timeouts_total", labels, to: Double(queue.expired))
        }
    }

    private func collectReadiness() async {
        let checks = await readiness.state()
        registry.set("link_session_ready", to: checks.allSatisfy(\.isInOrder) ? 1 : 0)
        for (check, isInOrder) in checks { registry.set("link_session_health_check", [check], to: isInOrder ? 1 : 0) }
    }

    private func collectState() async {
        do throws(RepositoryError) {
            let webhooks = try await self.state.webhooks(until: .now + Self.queryTime)
            for (state, count) in webhooks.endpoints {
                registry.set("link_session_webhook_endpoints", [state], to: Double(count))
            }
            registry.set("link_session_webhook_endpoints_without_lease", to: Double(webhooks.withoutLease))
            registry.set("link_session_webhook_given_up_events", to: Double(webhooks.givenUp))
            let state = try await self.state.current(until: .now + Self.queryTime)
            registry.set("link_session_event_feed_waiting_events", to: Double(state.waitingEvents))
            registry.set("link_session_event_feed_oldest_waiting_seconds", to: state.oldestWaitingSeconds)
            registry.set("link_session_event_feed_last_position_timestamp_seconds", to: state.lastPosition)
            registry.set("link_session_partitions_ahead", to: Double(state.partitionsAhead))
            registry.set("link_session_default_partition_rows", to: Double(state.defaultPartitionRows))
            registry.set("link_session_replicas", to: Double(state.replicas))
            registry.set("link_session_database_state_timestamp_seconds", to: Date.now.timeIntervalSince1970)
        } catch {
            switch error {
            case .unavailable, .nodeUnreachable, .overloaded:
                logger.debug("state for metrics not read", metadata: ["cause": "\(error)"])
            case .bug(let cause): logger.error("state for metrics not read", metadata: ["cause": "\(cause)"])
            }
        }
    }

    private func collectProcess() {
        guard let process = ProcessStatistics() else { return }
        registry.set("process_cpu_seconds_total", to: process.cpuSeconds)
        registry.set("process_open_fds", to: Double(process.openDescriptors))
        registry.set("process_max_fds", to: Double(process.mostDescriptors))
        registry.set("process_resident_memory_bytes", to: Double(process.residentBytes))
        registry.set("process_virtual_memory_bytes", to: Double(process.virtualBytes))
        registry.set("process_threads", to: Double(process.threads))
    }
}

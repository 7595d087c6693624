// swift-tools-version: 6.2
// One target per layer: an import that is not declared here does not compile.
import PackageDescription

/// scripts/fuzz sets it: what it builds is instrumented, and has no place in any other build.
let isFuzzed = Context.environment["FUZZ"] != nil

var settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]
if isFuzzed { settings.append(.unsafeFlags(["-sanitize=fuzzer,address", "-enable-testing"])) }

/// The targets that hold C pointers say `unsafe` wherever they touch one.
let settingsAtTheCBoundary = settings + [.strictMemorySafety()]

let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let lifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let metrics = Target.Dependency.product(name: "Metrics", package: "swift-metrics")
let deque = Target.Dependency.product(name: "DequeModule", package: "swift-collections")
let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioEmbedded = Target.Dependency.product(name: "NIOEmbedded", package: "swift-nio")
let nioHTTP1 = Target.Dependency.product(name: "NIOHTTP1", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioSSL = Target.Dependency.product(name: "NIOSSL", package: "swift-nio-ssl")
let nioExtras = Target.Dependency.product(name: "NIOExtras", package: "swift-nio-extras")

/// SwiftPM calls a package unused of which no target names a product. None is linked for that, since nothing is built for
/// this platform: what the packages that need them link is enough.
let broughtAlong = [
    ("Algorithms", "swift-algorithms"),
    ("SwiftASN1", "swift-asn1"),
    ("AsyncAlgorithms", "swift-async-algorithms"),
    ("Atomics", "swift-atomics"),
    ("X509", "swift-certificates"),
    ("Crypto", "swift-crypto"),
    ("StructuredFieldValues", "swift-http-structured-headers"),
    ("HTTPTypes", "swift-http-types"),
    ("NIOHTTP2", "swift-nio-http2"),
    ("Numerics", "swift-numerics"),
    ("SystemPackage", "swift-system"),
].map { Target.Dependency.product(name: $0, package: $1, condition: .when(platforms: [.wasi])) }

let package = Package(
    name: "link-session-service",
    platforms: [.macOS(.v26)],
    products: [.executable(name: "link-session-service", targets: ["LinkSessionService"])],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
        .package(url: "https://github.com/apple/swift-collections", exact: "1.6.0"),
        // Of its file formats JSON alone.
        .package(url: "https://github.com/apple/swift-configuration", exact: "1.4.0", traits: ["JSON"]),
        .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics", exact: "2.13.0"),
        .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-extras", exact: "1.35.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", exact: "2.37.6"),
        .package(url: "https://github.com/hummingbird-project/swift-mustache", exact: "2.1.1"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", exact: "2.13.0"),
        .package(url: "https://github.com/vapor/jwt-kit", exact: "5.7.1"),

        // What those above bring along: every build has the same of these, too.
        .package(url: "https://github.com/apple/swift-algorithms", exact: "1.2.1"),
        .package(url: "https://github.com/apple/swift-asn1", exact: "1.7.4"),
        .package(url: "https://github.com/apple/swift-async-algorithms", exact: "1.1.4"),
        .package(url: "https://github.com/apple/swift-atomics", exact: "1.3.0"),
        .package(url: "https://github.com/apple/swift-certificates", exact: "1.21.1"),
        .package(url: "https://github.com/apple/swift-crypto", exact: "4.5.2"),
        .package(url: "https://github.com/apple/swift-http-structured-headers", exact: "1.7.0"),
        .package(url: "https://github.com/apple/swift-http-types", exact: "1.8.0"),
        .package(url: "https://github.com/apple/swift-nio-http2", exact: "1.46.0"),
        .package(url: "https://github.com/apple/swift-numerics", exact: "1.1.1"),
        .package(url: "https://github.com/apple/swift-system", exact: "1.8.1"),
    ],
    targets: [
        .systemLibrary(
            name: "CLibpq", pkgConfig: "libpq", providers: [.apt(["libpq-dev"]), .brew(["libpq"])]),
        .systemLibrary(
            name: "COpenSSL", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"]), .brew(["openssl"])]),
        .target(
            name: "PostgresClient", dependencies: ["CLibpq", deque, logging, lifecycle, metrics],
            swiftSettings: settingsAtTheCBoundary),
        .target(name: "LinkSessions", swiftSettings: settings),
        .target(name: "IPAddresses", swiftSettings: settingsAtTheCBoundary),
        .target(name: "RateLimits", dependencies: ["IPAddresses"], swiftSettings: settings),
        .target(
            name: "TokenGenerator", dependencies: ["COpenSSL", "LinkSessions"],
            swiftSettings: settingsAtTheCBoundary),
        .target(
            name: "LinkSessionRepository",
            dependencies: ["JSON", "LinkSessions", "PostgresClient", "RateLimits", logging, lifecycle],
            swiftSettings: settings),
        .target(
            name: "APIKeyAuth",
            dependencies: [
                "LinkSessions", "LinkSessionRepository", "RateLimits", "TokenGenerator", logging, lifecycle,
            ],
            swiftSettings: settings),
        .target(name: "JSON", swiftSettings: settings),
        .target(name: "PrometheusMetrics", dependencies: [metrics], swiftSettings: settings),
        .target(
            name: "HTTPServer",
            dependencies: [
                "IPAddresses", "JSON", "RateLimits", deque, logging, lifecycle, metrics, nioCore, nioHTTP1, nioPosix,
                nioExtras,
            ],
            swiftSettings: settings),
        .target(
            name: "OutboundHTTP", dependencies: ["IPAddresses", nioCore, nioHTTP1, nioPosix, nioSSL],
            swiftSettings: settingsAtTheCBoundary),
        .target(
            name: "ReturnLinks", dependencies: ["JSON", "LinkSessions", "TokenGenerator"], swiftSettings: settings),
        .target(
            name: "Webhooks",
            dependencies: [
                "LinkSessions", "LinkSessionRepository", "OutboundHTTP", "TokenGenerator", deque, logging, lifecycle,
                metrics, nioCore, nioHTTP1,
            ], swiftSettings: settings),
        .target(
            name: "HTTPFront",
            dependencies: [
                "APIKeyAuth", "HTTPServer", "JSON", "LinkSessions", "LinkSessionRepository", "RateLimits",
                "ReturnLinks", "TokenGenerator", metrics, nioHTTP1,
            ],
            resources: [.embedInCode("openapi.json")],
            swiftSettings: settings),
        .target(
            name: "AuthenticatorUI",
            dependencies: [
                "HTTPServer", "LinkSessions", "LinkSessionRepository", "OutboundHTTP", "ReturnLinks", "TokenGenerator",
                logging, metrics, nioCore, nioHTTP1,
                .product(name: "JWTKit", package: "jwt-kit"),
                .product(name: "Mustache", package: "swift-mustache"),
            ],
            resources: [.embedInCode("Resources")],
            swiftSettings: settings),
        .executableTarget(
            name: "LinkSessionService",
            dependencies: [
                "APIKeyAuth", "AuthenticatorUI", "HTTPFront", "HTTPServer", "IPAddresses", "JSON", "LinkSessions",
                "LinkSessionRepository", "OutboundHTTP", "PostgresClient", "PrometheusMetrics", "RateLimits",
                "ReturnLinks", "TokenGenerator", "Webhooks", logging, lifecycle, metrics, nioCore, nioHTTP1,
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Configuration", package: "swift-configuration"),
                .product(name: "JWTKit", package: "jwt-kit"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ] + broughtAlong,
            swiftSettings: settings),

        .target(
            name: "TestSupport",
            dependencies: [
                "LinkSessionRepository", "LinkSessions", "PostgresClient", "TokenGenerator", logging, nioCore, nioHTTP1,
                nioPosix,
            ],
            path: "Tests/TestSupport", swiftSettings: settings),
        .testTarget(name: "LinkSessionsTests", dependencies: ["LinkSessions"], swiftSettings: settings),
        .testTarget(name: "IPAddressesTests", dependencies: ["IPAddresses"], swiftSettings: settings),
        .testTarget(name: "RateLimitsTests", dependencies: ["IPAddresses", "RateLimits"], swiftSettings: settings),
        .testTarget(
            name: "TokenGeneratorTests", dependencies: ["LinkSessions", "TokenGenerator"], swiftSettings: settings),
        .testTarget(
            name: "PostgresClientTests", dependencies: ["PostgresClient", "TestSupport", logging],
            swiftSettings: settings),
        .testTarget(
            name: "LinkSessionRepositoryTests",
            dependencies: [
                "LinkSessionRepository", "LinkSessions", "PostgresClient", "TestSupport", "TokenGenerator", logging,
            ], swiftSettings: settings),
        .testTarget(
            name: "APIKeyAuthTests",
            dependencies: [
                "APIKeyAuth", "LinkSessionRepository", "LinkSessions", "PostgresClient", "RateLimits", "TestSupport",
                logging,
            ],
            swiftSettings: settings),
        .testTarget(name: "JSONTests", dependencies: ["JSON"], swiftSettings: settings),
        .testTarget(
            name: "PrometheusMetricsTests", dependencies: ["PrometheusMetrics", metrics], swiftSettings: settings),
        .testTarget(
            name: "HTTPServerTests",
            dependencies: ["HTTPServer", "IPAddresses", "RateLimits", logging, nioCore, nioEmbedded, nioHTTP1],
            swiftSettings: settings),
        .testTarget(
            name: "OutboundHTTPTests",
            dependencies: ["IPAddresses", "OutboundHTTP", nioCore, nioHTTP1, nioPosix, nioSSL],
            swiftSettings: settings),
        .testTarget(
            name: "WebhooksTests",
            dependencies: [
                "IPAddresses", "LinkSessionRepository", "LinkSessions", "OutboundHTTP", "TokenGenerator", "Webhooks",
                nioCore, nioPosix,
            ], swiftSettings: settings),
        .testTarget(
            name: "HTTPFrontTests",
            dependencies: [
                "APIKeyAuth", "HTTPFront", "HTTPServer", "LinkSessionRepository", "LinkSessions", "PostgresClient",
                "RateLimits", "ReturnLinks", "TestSupport", "TokenGenerator", logging, nioCore,
            ], swiftSettings: settings),
        .testTarget(
            name: "AuthenticatorUITests",
            dependencies: [
                "AuthenticatorUI", "HTTPServer", "LinkSessionRepository", "LinkSessions", "TokenGenerator", nioHTTP1,
            ],
            swiftSettings: settings),
        .testTarget(
            name: "LinkSessionServiceTests",
            dependencies: [
                "AuthenticatorUI", "LinkSessionService", "LinkSessions", "PostgresClient", "PrometheusMetrics",
                "TestSupport", "TokenGenerator", "Webhooks", nioCore, nioHTTP1, nioPosix,
                .product(name: "Crypto", package: "swift-crypto"), .product(name: "JWTKit", package: "jwt-kit"),
            ], swiftSettings: settings),
    ]
)

if isFuzzed {
    package.targets.append(
        .executableTarget(
            name: "Fuzz",
            dependencies: [
                "AuthenticatorUI", "HTTPFront", "HTTPServer", "IPAddresses", "JSON", "LinkSessionRepository",
                "LinkSessions", "PostgresClient", "RateLimits", "TokenGenerator", logging, nioCore, nioEmbedded,
                nioHTTP1,
                .product(name: "JWTKit", package: "jwt-kit"),
            ], path: "Tests/Fuzz", exclude: ["corpus", "connection.dict"], swiftSettings: settings,
            linkerSettings: [.unsafeFlags(["-sanitize=fuzzer,address", "-use-ld=lld"])]))
}

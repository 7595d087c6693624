// What OpenSSL could not do.

/// OpenSSL refused what it always does: a broken installation.
package struct OpenSSLError: Error {
    package init() {}
}

// Threads, where libpq may block.

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// Runs `body` on a thread of its own, where it may block.
///
/// False when the system gives no thread.
func startThread(_ body: @escaping @Sendable () -> Void) -> Bool {
    final class Box: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    let box = unsafe Unmanaged.passRetained(Box(body))
    #if canImport(Darwin)
        var thread: pthread_t?
    #else
        var thread = pthread_t()
    #endif
    var attributes = pthread_attr_t()
    unsafe pthread_attr_init(&attributes)
    unsafe pthread_attr_setdetachstate(&attributes, CInt(PTHREAD_CREATE_DETACHED))
    let status = unsafe pthread_create(
        &thread, &attributes,
        { argument in
            #if canImport(Darwin)
                let box = unsafe Unmanaged<Box>.fromOpaque(argument).takeRetainedValue()
            #else
                guard let argument = unsafe argument else { return nil }
                let box = unsafe Unmanaged<Box>.fromOpaque(argument).takeRetainedValue()
            #endif
            box.body()
            return nil
        }, box.toOpaque())
    unsafe pthread_attr_destroy(&attributes)
    if status != 0 { unsafe box.release() }
    return status == 0
}

/// Blocks the calling thread.
func pauseThread(milliseconds: CInt) {
    _ = poll(nil, 0, milliseconds)
}

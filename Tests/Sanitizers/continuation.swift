// A continuation that is resumed before it is awaited: no race, and ThreadSanitizer reports one, unless continuation.c is
// preloaded.

import Foundation

final class Box: @unchecked Sendable { var value = 0 }
let box = Box()
await withUnsafeContinuation { continuation in
    Thread.detachNewThread {
        box.value = 1
        continuation.resume()
    }
    usleep(200_000)
}
precondition(box.value == 1)

// Two threads and a Mutex: no race, and ThreadSanitizer reports one, unless mutex.c is preloaded.

import Foundation
import Synchronization

final class Counter: Sendable { let value = Mutex(0) }
let counter = Counter()
let threads = (0..<2).map { _ in
    Thread { for _ in 0..<100_000 { counter.value.withLock { $0 += 1 } } }
}
for thread in threads { thread.start() }
while threads.contains(where: { !$0.isFinished }) { usleep(1000) }

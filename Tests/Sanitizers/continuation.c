// Tells ThreadSanitizer what it cannot see on Linux: Swift's library tells it when a continuation is resumed, and tells it
// that the task goes on only where the task had gone to sleep. One that is resumed before it awaits goes on at once.
// What is resumed while swift_continuation_await itself runs is still not seen.

#define _GNU_SOURCE
#include <dlfcn.h>

#define ASYNC __attribute__((swiftasynccall))

__attribute__((weak)) void __tsan_acquire(void *);

typedef ASYNC void Await(void *context);
typedef __attribute__((swiftcall)) void *CurrentTask(void);

ASYNC void swift_continuation_await(void *context) {
    CurrentTask *task = (CurrentTask *)dlsym(RTLD_DEFAULT, "swift_task_getCurrent");
    if (__tsan_acquire) __tsan_acquire(task());
    Await *await = (Await *)dlsym(RTLD_NEXT, "swift_continuation_await");
    __attribute__((musttail)) return await(context);
}

// What a process keeps in memory while it has nothing to do.
#pragma once

namespace moored {

// Few heaps for many threads, most of which wait: each heap keeps what its threads once needed.
// Before the first thread is made.
void limit_heaps(int count);

// Gives free heap pages back to the kernel, in about a millisecond; for a process that is quiet.
void return_free_heap();

}  // namespace moored

// What a process keeps in memory while it has nothing to do.
#pragma once

namespace moored {

// Few heaps for many threads, most of which wait: each heap keeps what its threads once needed.
// Before the first thread is made.
void limit_heaps(int count);

// Gives back free heap pages, and the pages of programs and libraries, which come again from the
// page cache as they are needed. Takes about a millisecond; for a process that has become quiet.
void return_idle_memory();

}  // namespace moored

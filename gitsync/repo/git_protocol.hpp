// The git:// protocol of `git daemon` for libgit2: what libgit2's own transport lacks are addresses
// that were judged, a bounded wait for a connection and prompt acknowledgements.
#pragma once

struct git_smart_subtransport;
struct git_transport;

namespace moored::git {

// Makes a subtransport of libgit2 for git, to be wrapped by the counting one. It takes the server
// from the meter of the thread, and leaves the reason of a failure there.
// Source: gitprotocol-pack(5), "Git Transport".
int make_git_subtransport(git_smart_subtransport** out, git_transport* owner, void* param);

}  // namespace moored::git
